import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadPackage } from '../tools/models/npm-package.js';
import { SOURCES } from '../tools/models/sources.js';
import { cacheFolder } from '../tools/stack/src/folders.js';
import { findRedis, startRedis } from '../tools/stack/src/redis.js';
import { WORKER_LAUNCH } from '../tools/stack/src/worker-launch.js';
import { BareProcess, framesPerSecond } from './bare-processes.js';
import { measured, type Report, say } from './command.js';
import { type Bar, barLines, Figures, isMet, table } from './figures.js';
import { Fleet } from './fleet.js';
import { type Take, takes } from './footage.js';
import { bindableCores, machine } from './machine.js';
import { installedPeers, NOT_INSTALLED, Peer } from './peers.js';

const FRAMES_EACH = 30;
/**
 * Of each row a round; a multiple of the takes and of the workers. Many, as a worker that has run out of steps waits for
 * the others: with few that end weighs as much as what is measured.
 */
const STEPS = 36;
const WARM_STEPS = 12;
const MEMORY_BAR_MB = 350;
const PEER_BARS: Record<string, number> = { human: 8, 'face-api-ssd': 15, 'face-api-tiny': 5, faceplugin: 5 };
const TRACKED_BAR = 12;

const HELP = `npm run -s bench -- inference [--json] [--rounds N] [--markdown]

The worker against the machine's limit and against other packages, all rows in turn in one run, on the committed frames
(640 × 480 JPEG). Progress goes to stderr; the last line is one JSON object.

  --rounds N   rounds of all rows (5)
  --json       only the JSON line
  --markdown   also writes docs/performance.md
`;

/** What one frame costs: against bare kernels, against a second worker, against what others would pick. */
export const benchInference = (args: string[]): Promise<boolean> =>
  measured({ name: 'inference', help: HELP, rounds: 5, measure }, args);

async function measure(rounds: number, dir: string, header: string): Promise<Report> {
  const bench = new InferenceBench(dir);
  try {
    await bench.start();
    for (let round = 1; round <= rounds; round++) {
      const from = performance.now();
      await bench.round();
      say(`round ${round} of ${rounds}: ${((performance.now() - from) / 1000).toFixed(1)} s`);
    }
    return bench.report(rounds, header);
  } finally {
    await bench.stop();
  }
}

/** What is compared with one another, in the order of a pass. */
const COMPARED = ['bare', 'twoWorkers', 'oneWorker', 'bareAlone', 'oneProcess'] as const;
type Compared = (typeof COMPARED)[number];
type Rate = Compared | 'decodes' | 'kernels';

class InferenceBench {
  private readonly stops: (() => Promise<void> | void)[] = [];
  private readonly rates: Record<Rate, Figures> = {
    bare: new Figures(),
    bareAlone: new Figures(),
    decodes: new Figures(),
    kernels: new Figures(),
    oneWorker: new Figures(),
    twoWorkers: new Figures(),
    oneProcess: new Figures(),
  };
  /** Of the rounds: the machine's speed wanders from one to the next. */
  private readonly ratios = {
    toBare: new Figures(),
    oneProcessToBare: new Figures(),
    scaling: new Figures(),
    bareScaling: new Figures(),
  };
  /** Milliseconds a frame on one core. */
  private readonly tracked = new Figures();
  private readonly floor = new Figures();
  private readonly equal = new Figures();
  private readonly recogniser = { built: new Figures(), shipped: new Figures() };
  private readonly stages = new Map<string, Figures>();
  private readonly peerMs = new Map<string, Figures>();
  private readonly peerNotes = new Map<string, string>();
  private cores: readonly number[] | null = null;
  private bare: BareProcess[] = [];
  private fleets!: Record<'oneWorker' | 'twoWorkers' | 'oneProcess', Fleet>;
  private peers: Peer[] = [];
  private takes: Take[] = [];

  constructor(private readonly dir: string) {}

  async start(): Promise<void> {
    const available = bindableCores();
    this.cores = available && available.length >= 2 ? available.slice(0, 2) : null;
    if (!this.cores) say('processes cannot be bound to two cores here: the scaling means little');
    this.takes = await takes(FRAMES_EACH);
    const redis = await this.startRedis();
    const own = (i: number): readonly number[] | null => this.cores && [this.cores[i]!];
    say('starting workers …');
    this.fleets = {
      oneWorker: await this.startFleet(`${redis}/0`, [own(0)], 1),
      twoWorkers: await this.startFleet(`${redis}/1`, [own(0), own(1)], 1),
      oneProcess: await this.startFleet(`${redis}/2`, [this.cores], 2),
    };
    say('starting bare loops …');
    const options = { framesEach: FRAMES_EACH, shippedRecogniser: await this.shippedRecogniser() };
    for (const i of [0, 1]) {
      const process = await BareProcess.start(this.cores?.[i] ?? null, options);
      this.stops.push(() => process.stop());
      this.bare.push(process);
    }
    await this.startPeers();
    // Everything once, uncounted: what is measured is a process that has been running for a while.
    for (const fleet of Object.values(this.fleets)) await fleet.framesPerSecond(this.takes, WARM_STEPS);
  }

  async stop(): Promise<void> {
    for (let one = this.stops.pop(); one; one = this.stops.pop()) await one();
  }

  async round(): Promise<void> {
    const [first] = this.bare;
    if (!first) throw new Error('not started');
    const rate = await this.thereAndBack(first);
    this.ratios.toBare.add(rate.twoWorkers / rate.bare);
    this.ratios.oneProcessToBare.add(rate.oneProcess / rate.bare);
    this.ratios.scaling.add(rate.twoWorkers / rate.oneWorker);
    this.ratios.bareScaling.add(rate.bare / rate.bareAlone);
    this.rates.kernels.add(await framesPerSecond(this.bare, { row: 'kernels', steps: STEPS / 2 }));
    this.rates.decodes.add(await framesPerSecond(this.bare, { row: 'decodes', steps: STEPS / 2 }));
    // Over the same frames and as means alike: medians of single stages would leave out what disturbs a whole frame.
    for (const row of ['tracked', 'floor', 'equal'] as const) {
      const { ms, frames } = await first.run({ row, steps: this.takes.length });
      this[row].add(ms / frames);
    }
    for (const [name, ms] of Object.entries((await first.run({ row: 'stages', steps: 1 })).stages)) {
      const figures = this.stages.get(name) ?? new Figures();
      figures.add(ms);
      this.stages.set(name, figures);
    }
    const { built, shipped } = (await first.run({ row: 'recognisers', steps: 1 })).stages;
    if (built !== undefined) this.recogniser.built.add(built);
    if (shipped !== undefined) this.recogniser.shipped.add(shipped);
    for (const peer of this.peers) {
      const { ms } = await peer.pass();
      this.peerMs.get(peer.ready.name)?.add(ms.reduce((a, b) => a + b, 0) / ms.length);
    }
  }

  /** What is compared, in order and in reverse: a machine that slows down or recovers meanwhile does so for all of it. */
  private async thereAndBack(first: BareProcess): Promise<Record<Compared, number>> {
    const task = { row: 'all', steps: STEPS / 2 } as const;
    const run: Record<Compared, () => Promise<number>> = {
      bare: () => framesPerSecond(this.bare, task),
      bareAlone: () => framesPerSecond([first], task),
      twoWorkers: () => this.fleets.twoWorkers.framesPerSecond(this.takes, STEPS),
      oneWorker: () => this.fleets.oneWorker.framesPerSecond(this.takes, STEPS / 2),
      oneProcess: () => this.fleets.oneProcess.framesPerSecond(this.takes, STEPS),
    };
    const there = {} as Record<Compared, number>;
    for (const name of COMPARED) there[name] = await run[name]();
    const mean = {} as Record<Compared, number>;
    for (const name of [...COMPARED].reverse()) mean[name] = (there[name] + (await run[name]())) / 2;
    for (const name of COMPARED) this.rates[name].add(mean[name]);
    return mean;
  }

  report(rounds: number, header: string): Report {
    const { rates, tracked, floor, equal } = this;
    const measured = {
      ratioToBare: this.ratios.toBare.median,
      ratioToBareOneProcess: this.ratios.oneProcessToBare.median,
      scaling: this.ratios.scaling.median,
      scalingOfTheMachine: this.ratios.bareScaling.median,
      trackedToFloor: tracked.median / floor.median,
      recogniserToShipped: this.recogniser.shipped.count
        ? this.recogniser.built.median / this.recogniser.shipped.median
        : null,
      memoryMb: this.fleets.oneProcess.peakMemoryMb,
    };
    const peers = Object.fromEntries(
      [...this.peerMs].map(([name, ms]) => [
        name,
        { ms: ms.median, ratio: ms.median / equal.median, trackedRatio: ms.median / tracked.median },
      ]),
    );
    // Of what anybody gets: rows without a bar are there for comparison only.
    const asPackaged = Object.keys(PEER_BARS).flatMap((name) => peers[name]?.ms ?? []);
    const fastest = asPackaged.length ? Math.min(...asPackaged) : null;
    const bars: Bar[] = [
      { what: 'workers ÷ bare limit, frames a second', value: measured.ratioToBare, limit: 0.9, better: 'higher' },
      { what: 'two workers ÷ one', value: measured.scaling, limit: 1.9, better: 'higher' },
      { what: 'tracked frame ÷ its decode and kernels', value: measured.trackedToFloor, limit: 1.6, better: 'lower' },
      {
        what: 'recogniser ÷ as its package ships it',
        value: measured.recogniserToShipped,
        limit: 0.5,
        better: 'lower',
      },
      { what: 'MB resident, worker with two threads', value: measured.memoryMb, limit: MEMORY_BAR_MB, better: 'lower' },
      ...Object.entries(PEER_BARS).map(([name, limit]): Bar => {
        const value = peers[name]?.ratio ?? null;
        return { what: `${name} ÷ ours, equal work`, value, limit, better: 'higher' };
      }),
      {
        what: 'fastest of them ÷ our tracked frame',
        value: fastest === null ? null : fastest / tracked.median,
        limit: TRACKED_BAR,
        better: 'higher',
      },
    ];
    const frames = this.takes.reduce((sum, take) => sum + take.frames.length, 0);
    const settings = Object.entries(WORKER_LAUNCH.env).map((entry) => entry.join('='));
    const lines = [
      '## Inference',
      '',
      `${header}. ${rounds} rounds, all rows in turn; ${frames} frames (640 × 480 JPEG) of ${this.takes.length} takes.`,
      this.cores
        ? 'Two cores; each bare loop and each worker is bound to one of them, Redis and the sender have no core of their own.'
        : 'Nothing could be bound to a core.',
      `The workers are launched as by \`npm start\`: ${[...settings, ...WORKER_LAUNCH.args].join(' ')}.`,
      '',
      ...barLines(bars),
      '',
      ...table(
        ['frames a second', 'median (lowest–highest)'],
        [
          ['bare limit: decodes, crops, kernels; a process a core', String(rates.bare)],
          ['one of its two processes alone', String(rates.bareAlone)],
          ['two workers through BullMQ, one core each', String(rates.twoWorkers)],
          ['one worker through BullMQ, one core', String(rates.oneWorker)],
          ['one worker with two threads, two cores', String(rates.oneProcess)],
          ['kernels alone, a process a core', String(rates.kernels)],
          ['decodes alone, a process a core', String(rates.decodes)],
        ],
      ),
      '',
      ...table(
        ['round by round', 'median (lowest–highest)'],
        [
          ['two workers ÷ bare limit', this.ratios.toBare.toString(2)],
          ['one worker with two threads ÷ bare limit', this.ratios.oneProcessToBare.toString(2)],
          ['two workers ÷ one', this.ratios.scaling.toString(2)],
          ['the machine itself: bare limit, two processes ÷ one', this.ratios.bareScaling.toString(2)],
        ],
      ),
      '',
      ...table(
        ['one core', 'ms'],
        [
          ['tracked frame: decode, mesh, eyes, expression, signals', tracked.toString(2)],
          ['its decode and kernels alone', floor.toString(2)],
          ['every frame decoded, detected, landmarks, embedding', equal.toString(2)],
          ['recogniser as built', this.recogniser.built.toString(2)],
          ['recogniser as shipped', this.recogniser.shipped.count ? this.recogniser.shipped.toString(2) : '–'],
          ...[...this.stages].map(([name, ms]) => [`stage: ${name}`, ms.toString(2)]),
        ],
      ),
      '',
      ...this.peerLines(peers),
    ];
    const json = {
      ...measured,
      peers,
      stages: Object.fromEntries([...this.stages].map(([name, ms]) => [name, ms.median])),
      trackedFrameMs: tracked.median,
      equalWorkMs: equal.median,
      framesPerSecond: Object.fromEntries(Object.entries(rates).map(([name, rate]) => [name, rate.median])),
      recogniserMs: { built: this.recogniser.built.median, shipped: this.recogniser.shipped.median },
      rounds,
      frames,
      machine: machine(),
    };
    return { lines, json, met: bars.every((bar) => isMet(bar) !== false) };
  }

  private peerLines(peers: Record<string, { ms: number; ratio: number; trackedRatio: number }>): string[] {
    if (this.peerNotes.size === 0) return [`Other packages: ${NOT_INSTALLED}.`];
    return table(
      ['other packages, detect + landmarks + embedding on every frame', 'ms a frame', '÷ ours, equal work', '÷ ours, tracked', 'how'],
      [...this.peerNotes].map(([name, note]) => {
        const p = peers[name];
        return p
          ? [name, this.peerMs.get(name)!.toString(1), p.ratio.toFixed(1), p.trackedRatio.toFixed(1), note]
          : [name, '–', '–', '–', note];
      }),
    ); // prettier-ignore
  }

  private async startRedis(): Promise<string> {
    const env = process.env;
    const program = await findRedis(env, () => cacheFolder(env), say);
    const logFile = path.join(this.dir, 'redis.log');
    const redis = await startRedis(program, { name: 'redis', dir: path.join(this.dir, 'redis'), persistent: false, logFile, env }); // prettier-ignore
    this.stops.push(() => redis.process.stop());
    return redis.url;
  }

  private async startFleet(url: string, cores: readonly (readonly number[] | null)[], threads: number): Promise<Fleet> {
    const fleet = await Fleet.start(url, cores, threads);
    this.stops.push(() => fleet.stop());
    return fleet;
  }

  private async shippedRecogniser(): Promise<string | null> {
    try {
      const files = await loadPackage(SOURCES.faceplugin, say);
      const bytes = files.get('model/fr_feature.onnx');
      if (!bytes) return null;
      const file = path.join(this.dir, 'as-shipped.onnx');
      writeFileSync(file, bytes);
      return file;
    } catch (error) {
      say(`the recogniser as shipped is not measured: ${error instanceof Error ? error.message : String(error)}`);
      return null;
    }
  }

  private async startPeers(): Promise<void> {
    const names = installedPeers();
    if (names.length === 0) return say(`other packages: ${NOT_INSTALLED}`);
    const framesFile = this.writeFrames();
    for (const name of names) {
      say(`starting ${name} …`);
      try {
        const peer = await Peer.start(name, framesFile, this.cores?.[0] ?? null);
        this.stops.push(() => peer.stop());
        this.peers.push(peer);
        this.peerMs.set(name, new Figures());
        const { version, backend, note } = peer.ready;
        this.peerNotes.set(name, [version, backend, note].filter(Boolean).join(', '));
      } catch (error) {
        this.peerNotes.set(name, `did not start: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }

  /** A third of the frames: the slowest of the others take a third of a second each. */
  private writeFrames(): string {
    const folder = path.join(this.dir, 'frames');
    mkdirSync(folder);
    const files = this.takes.flatMap(({ frames }, t) =>
      frames
        .filter((_, i) => i % 3 === 0)
        .map(({ jpeg }, i) => {
          const file = path.join(folder, `${t}-${i}.jpg`);
          writeFileSync(file, jpeg);
          return file;
        }),
    );
    const list = path.join(this.dir, 'frames.json');
    writeFileSync(list, JSON.stringify(files));
    return list;
  }
}
