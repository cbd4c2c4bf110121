import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Apps, startApps, startServices } from '#stack';
import type { ApiClient } from '#testing';
import { AppLog } from './app-log.js';
import { attempt, enrolledUser, Footage, type Turns } from './captures.js';
import { measured, type Report, say } from './command.js';
import { type Bar, barLines, Figures, isMet, table } from './figures.js';
import { machine } from './machine.js';

const LENGTHS = [30, 60] as const;
type Length = (typeof LENGTHS)[number];
type Load = 'idle' | 'half';
const BARS: Record<Length, { p50: number; p95: number }> = { 30: { p50: 250, p95: 400 }, 60: { p50: 450, p95: 700 } };
const BUSY_SHARE = 0.5;
/** Kernel ticks of CPU time in /proc, on every Linux that Node runs on. */
const TICK_MS = 10;
/** People who film at the same time while the machine is idle: their uploads take turns, so each finds it idle. */
const IDLE_PEOPLE = 4;
const PEOPLE_MAX = 16;
/** So many enrol at the same time: a machine must not be too busy to enrol anybody. */
const ENROL_AT_ONCE = 4;
/** Nobody waits longer than this for a run: then it reports what it has. The idle cells may use half of it. */
const MINUTES = 4.5;
const DECISION_MS = 15_000;

const HELP = `npm run -s bench -- attempt [--json] [--rounds N] [--markdown]

From the last frame to the decision, through the real gateway with real servers: from the moment the last step's frames
are all filmed (its upload begins) until the gateway has committed the decision, and until the client has its answer
(which leaves on a grid of 250 ms on purpose). Captures run in real time, about eight seconds each; people film side by
side. Idle: their uploads take turns, each begins when the work of the one before is done. Half load: as many as keep
half of the cores busy, without turns. Ends after ${MINUTES} minutes, or at Ctrl-C, with what it has by then.

  --rounds N   attempts a cell (30), of four cells: last steps of 30 and of 60 frames, idle and at half load
  --json       only the JSON line
  --markdown   also writes docs/performance.md
`;

export const benchAttempt = (args: string[]): Promise<boolean> =>
  measured({ name: 'attempt', help: HELP, rounds: 30, measure }, args);

async function measure(rounds: number, dir: string, header: string): Promise<Report> {
  const end = new AbortController();
  const ended = (): void => end.abort();
  const timer = setTimeout(ended, MINUTES * 60_000);
  process.once('SIGINT', ended).once('SIGTERM', ended);
  const services = await startServices({ dir, ephemeral: true, log: () => undefined });
  try {
    say('servers are ready; starting the three processes …');
    const apps = await startApps(services, { dir, log: () => undefined, gatewayPort: 0, inferenceThreads: machine().cores }); // prettier-ignore
    try {
      return await new AttemptBench(apps, dir, rounds, end.signal).run(header);
    } finally {
      await apps.stop();
    }
  } finally {
    clearTimeout(timer);
    process.off('SIGINT', ended).off('SIGTERM', ended);
    await services.stop();
  }
}

class Cell {
  readonly committed = new Figures();
  readonly answered = new Figures();
  readonly ends = new Map<string, number>();
  begun = 0;

  constructor(
    readonly load: Load,
    readonly length: Length,
  ) {}

  ended(how: string): void {
    this.ends.set(how, (this.ends.get(how) ?? 0) + 1);
  }
}

/** What a phase took of the worker, in milliseconds of CPU and of the clock. */
interface Cost {
  captures: number;
  cpuMs: number;
  ms: number;
}

class AttemptBench {
  private footage!: Footage;
  private readonly people: ApiClient[] = [];
  private enrolments = 0;
  private readonly cells = (['idle', 'half'] as const).flatMap((load) => LENGTHS.map((n) => new Cell(load, n)));
  private readonly decisions: AppLog;
  private readonly steps: AppLog;

  constructor(
    private readonly apps: Apps,
    dir: string,
    private readonly rounds: number,
    private readonly end: AbortSignal,
  ) {
    const id = (value: unknown): string => String(value);
    this.decisions = new AppLog(path.join(dir, 'logs/gateway.log'), (line) =>
      line.msg === 'attempt decided' ? id(line.attemptId) : null,
    );
    this.steps = new AppLog(path.join(dir, 'logs/inference.log'), (line) =>
      line.msg === 'step analysed' ? `${id(line.attemptId)}/${id(line.step)}` : null,
    );
  }

  async run(header: string): Promise<Report> {
    const begun = performance.now();
    this.footage = await Footage.load();
    say(`enrolling ${IDLE_PEOPLE} people …`);
    await this.enrol(IDLE_PEOPLE);
    const alone = performance.now();
    await attempt(this.people[0]!, this.footage);
    const captureMs = performance.now() - alone;
    const halfTime = AbortSignal.timeout(MINUTES * 30_000);
    const idle = await this.phase('idle', IDLE_PEOPLE, AbortSignal.any([this.end, halfTime]), this.turns());
    // What a capture costs the worker tells how many at a time make half load.
    const { cores } = machine();
    const people = Math.ceil((BUSY_SHARE * cores * captureMs) / (idle.cpuMs / Math.max(1, idle.captures)));
    const crowd = Math.max(1, Math.min(PEOPLE_MAX, people));
    say(`a capture costs the worker ${(idle.cpuMs / Math.max(1, idle.captures) / 1000).toFixed(2)} s of CPU: ${crowd} at a time for half load`); // prettier-ignore
    await this.enrol(crowd);
    const half = await this.phase('half', crowd, this.end, undefined);
    say(`measured for ${((performance.now() - begun) / 1000).toFixed(0)} s`);
    return this.report(header, half.cpuMs / half.ms / cores);
  }

  /** Who cannot be enrolled is missing; with nobody at all there is nothing to measure. */
  private async enrol(count: number): Promise<void> {
    while (this.people.length < count && !this.end.aborted) {
      const names = Array.from(
        { length: Math.min(ENROL_AT_ONCE, count - this.people.length) },
        () => this.enrolments++,
      );
      const ends = await Promise.allSettled(names.map((i) => enrolledUser(this.apps.gatewayUrl, `bench-${i}@example.org`))); // prettier-ignore
      this.people.push(...ends.flatMap((end) => (end.status === 'fulfilled' ? end.value : [])));
      const failed = ends.find((end) => end.status === 'rejected');
      if (!failed) continue;
      if (this.people.length === 0) throw failed.reason;
      say(`${String(failed.reason)}: going on with ${this.people.length}`);
      return;
    }
  }

  /** The lengths in turns, by so many people at a time. */
  private async phase(load: Load, people: number, until: AbortSignal, turns: Turns | undefined): Promise<Cost> {
    const cells = this.cells.filter((cell) => cell.load === load);
    const total = cells.length * this.rounds;
    const from = performance.now();
    const cpu = this.workerCpuMs();
    let done = 0;
    const film = async (client: ApiClient, i: number): Promise<void> => {
      // They do not all begin at once.
      await sleep((i * 8_000) / people);
      while (!until.aborted) {
        const cell = cells.reduce((a, b) => (b.begun < a.begun ? b : a));
        if (cell.begun >= this.rounds) return;
        cell.begun++;
        await this.one(cell, client, turns);
        if (++done % 10 === 0) say(`${load}: ${done} of ${total}; ${cells.map(progress).join('; ')}`);
      }
    };
    await Promise.all(this.people.slice(0, people).map(film));
    return { captures: done, cpuMs: this.workerCpuMs() - cpu, ms: performance.now() - from };
  }

  private async one(cell: Cell, client: ApiClient, turns: Turns | undefined): Promise<void> {
    const end = await attempt(client, this.footage, cell.length, turns).catch((error: unknown) => ({ refused: String(error) })); // prettier-ignore
    if ('refused' in end) return cell.ended(end.refused);
    cell.ended(end.status);
    // The gateway says so once the database has acknowledged the decision.
    const decidedAt = await this.decisions.when(end.attemptId, 1_000);
    if (decidedAt === null) return;
    cell.committed.add(decidedAt - end.filmedAt);
    cell.answered.add(end.answeredAt - end.filmedAt);
  }

  private turns(): Turns {
    let last: Promise<unknown> = Promise.resolve();
    return {
      begin: async () => {
        const before = last;
        let end = (): void => undefined;
        last = new Promise<void>((resolve) => (end = resolve));
        await before;
        return end;
      },
      analysed: async (attemptId, step) => void (await this.steps.when(`${attemptId}/${step}`, DECISION_MS)),
    };
  }

  private workerCpuMs(): number {
    const fields = readFileSync(`/proc/${this.apps.pids().inference}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  }

  private report(header: string, busyShare: number): Report {
    const bars = this.cells
      .filter((cell) => cell.load === 'idle')
      .flatMap(({ length, committed }): Bar[] => [
        { what: `${length} frames, idle, p50 ms`, value: committed.median, limit: BARS[length].p50, better: 'lower' },
        { what: `${length} frames, idle, p95 ms`, value: committed.quantile(0.95), limit: BARS[length].p95, better: 'lower' }, // prettier-ignore
      ]);
    const quantiles = (f: Figures): string[] =>
      [0.5, 0.95, 0.99].map((q) => (f.count ? f.quantile(q).toFixed(0) : '–'));
    const lines = [
      '## Attempt: last frame to decision',
      '',
      `${header}. Attempts in real time through the gateway; frames of 640 × 480; n of each cell in the table.`,
      'From the moment the last step is filmed (its upload begins) to the committed decision, and to the client’s answer, which leaves on a grid of 250 ms.',
      `All processes, servers and clients share the machine. Idle: one upload at a time. Half load: captures side by side, the worker ${(100 * busyShare).toFixed(0)} % busy.`,
      '',
      ...barLines(bars),
      '',
      ...table(
        ['last step', 'load', 'n', 'committed p50', 'p95', 'p99', 'answered p50', 'p95', 'p99', 'ends'],
        this.cells.map((cell) => [
          `${cell.length} frames`,
          cell.load,
          String(cell.committed.count),
          ...quantiles(cell.committed),
          ...quantiles(cell.answered),
          endsOf(cell.ends),
        ]),
      ),
    ];
    const json = {
      attempt: this.cells.map(({ load, length, committed, answered, ends }) => ({
        load,
        frames: length,
        n: committed.count,
        committedMs: { p50: committed.median, p95: committed.quantile(0.95), p99: committed.quantile(0.99) },
        answeredMs: { p50: answered.median, p95: answered.quantile(0.95), p99: answered.quantile(0.99) },
        ends: Object.fromEntries(ends),
      })),
      busyShare,
      rounds: this.rounds,
      machine: machine(),
    };
    return { lines, json, met: bars.every((bar) => isMet(bar) !== false) };
  }
}

const progress = ({ length, committed, ends }: Cell): string =>
  `${length} frames p50 ${committed.median.toFixed(0)}, p95 ${committed.quantile(0.95).toFixed(0)} ms (${endsOf(ends)})`;

const endsOf = (ends: ReadonlyMap<string, number>): string => [...ends].map(([end, n]) => `${n} ${end}`).join(', ');
