import path from 'node:path';
import { availableParallelism } from 'node:os';
import { readModelFiles } from '../../apps/inference/src/model/model-files.js';
import { rulesOf } from '../../apps/inference/src/model/model-inputs.js';
import { repositoryRoot } from '#stack';
import { inLanes } from '#testing';
import { AnalysisPool } from '../attacks/analysis-pool.js';
import { enrolled, type Played, play } from '../attacks/attempts.js';
import { type Actor, actorsOf } from '../attacks/footage.js';
import { attemptsAUser, GatewayError, newRun, playUser } from '../attacks/http.js';
import { type Library, readLibrary } from '../attacks/library.js';
import { below, randomOf } from '../attacks/random.js';
import { isStrategy, STRATEGIES, type Strategy, STRATEGY_NAMES } from '../attacks/strategies.js';
import { stageOf } from '../attacks/stage.js';
import { type Tally, tallyOf } from '../attacks/tally.js';
import type { Command, OptionValues } from './command.js';
import { UsageError } from './fault.js';
import { positive, required, text, whole } from './options.js';
import { progress } from './progress.js';
import { percent, type Section } from './report.js';

export const attempt: Command = {
  name: 'attempt',
  what: 'whole attempts against drawn challenges, genuine or by an attack',
  help: `npm run -s eval -- attempt --library FILE.csv --strategy NAME --n 200 --seed 7 --out R.json

Plays attempts of three steps with footage of people: the challenge is drawn as the product draws it, each revealed step
is answered by the strategy as a camera would send it, and judged by the product's own functions and threshold. Everyone
is enrolled from their own footage first.

FILE.csv: person,action,file,start_s,end_s; actions neutral, blink, turn_left, turn_right, smile (the person's own
sides, pictures not mirrored). Files are videos (ffmpeg on PATH) or folders of frames 001.jpg, …, relative to FILE.csv.
A gesture that a person has no row for becomes that person's opt-out; two must remain. The second before a row is played
too where no other gesture is in it: a step begins at rest.

  --library FILE   the footage
  --strategy NAME  how the steps are answered:
${STRATEGY_NAMES.map((name) => `      ${name.padEnd(13)}${STRATEGIES[name].what}`).join('\n')}
  --n N            attempts, over the people in turn (200)
  --seed N         draws challenges, takes, light and noise (7)
  --fps N          pictures a second, 15 to 30 (20); footage with fewer is taken as it is
  --frames-fps N   rate at which folders of frames were taken (25)
  --variants N     different filmings of each piece of footage; each is analysed once (6)
  --threads N      threads that film and analyse (one a core, at most 4)
  --http URL       plays against a running gateway instead, through its public API and in real time: registers accounts
                   (eval-…@example.org), gives consent, enrols, attempts. Challenges are the gateway's; reasons are what
                   a client learns
  --parallel N     accounts at a time with --http (4)
`,
  options: {
    library: { type: 'string' },
    strategy: { type: 'string' },
    n: { type: 'string' },
    seed: { type: 'string' },
    fps: { type: 'string' },
    'frames-fps': { type: 'string' },
    variants: { type: 'string' },
    threads: { type: 'string' },
    http: { type: 'string' },
    parallel: { type: 'string' },
  },
  async run(values) {
    const options = optionsOf(values);
    const library = readLibrary(options.library);
    const actors = actorsOf(library, path.dirname(options.library), options.framesFps);
    if (options.strategy.others && actors.length < 2)
      throw new UsageError(`--strategy ${options.name} needs at least two people in ${options.library}`);
    const { manifest, bytes } = await readModelFiles(
      values.models ?? path.join(repositoryRoot(), 'models/manifest.json'),
    );
    const pool = await AnalysisPool.start(bytes, options.threads);
    try {
      const threshold = manifest.thresholds.match;
      const played = options.http
        ? await playHttp(pool, options.http, actors, options)
        : await playAll({ pool, rules: rulesOf(manifest) }, actors, options);
      const tally = tallyOf(played);
      const report = {
        strategy: options.name,
        ...tally,
        seed: options.seed,
        fps: options.fps,
        variants: options.variants,
        ...(options.http ? { http: options.http } : { threshold, stepsAnalysed: pool.analysed }),
        people: await Promise.all(actors.map(described)),
        leftOut: library.leftOut,
        notVerified: played.filter((p) => p.reason !== 'verified').slice(0, FAILURES_LISTED),
      };
      return {
        report,
        section: sectionOf(options, library, tally),
        modelDigest: options.http ? 'unknown' : manifest.digest,
      };
    } catch (error) {
      throw error instanceof GatewayError ? new UsageError(`--http ${options.http}: ${error.message}`) : error;
    } finally {
      await pool.stop();
    }
  },
};

/** Attempts that the report tells one by one; all of them are counted by reason. */
const FAILURES_LISTED = 200;

interface Options {
  library: string;
  name: string;
  strategy: Strategy;
  n: number;
  seed: number;
  fps: number;
  framesFps: number;
  variants: number;
  threads: number;
  http: string | undefined;
  parallel: number;
}

function optionsOf(values: OptionValues): Options {
  const name = required(values, 'strategy');
  if (!isStrategy(name)) throw new UsageError(`no strategy "${name}" (${STRATEGY_NAMES.join(', ')})`);
  const fps = positive(values, 'fps', 20);
  if (fps < 15 || fps > 30) throw new UsageError(`--fps is between 15 and 30, not ${text(values, 'fps')}`);
  const framesFps = positive(values, 'frames-fps', 25);
  if (framesFps <= 0) throw new UsageError('--frames-fps is above 0');
  return {
    library: required(values, 'library'),
    name,
    strategy: STRATEGIES[name],
    n: whole(values, 'n', 200, 1),
    seed: whole(values, 'seed', 7, 0),
    fps,
    framesFps,
    variants: whole(values, 'variants', 6, 1),
    threads: whole(values, 'threads', Math.min(4, availableParallelism()), 1),
    http: urlOf(text(values, 'http')),
    parallel: whole(values, 'parallel', 4, 1),
  };
}

function urlOf(given: string | undefined): string | undefined {
  if (given === undefined) return undefined;
  if (!URL.canParse(given) || !/^https?:/.test(given)) throw new UsageError(`--http is not a URL: ${given}`);
  return given.replace(/\/+$/, '');
}

/** Accounts side by side, each with a few attempts: a person's next account takes up where the last one ended. */
async function playHttp(
  pool: AnalysisPool,
  url: string,
  actors: readonly Actor[],
  { strategy, n, seed, fps, variants, parallel }: Options,
): Promise<Played[]> {
  const each = attemptsAUser(strategy);
  const bar = progress('attempts', n);
  const stage = stageOf(pool);
  const played: Played[] = [];
  const run = { url, pool, run: newRun() };
  await inLanes(parallel, Math.ceil(n / each), async (user) => {
    const victim = actors[user % actors.length]!;
    const others = actors.filter((a) => a !== victim);
    const plays = Array.from({ length: Math.min(each, n - user * each) }, (_, i) => {
      const variant = below(randomOf('variant', seed, user, i), variants);
      return { strategy, cast: { victim, others, fps, variant, stage } };
    });
    for (const one of await playUser(run, user, plays)) played.push(one);
    bar.tick(plays.length);
  });
  bar.end();
  return played;
}

async function playAll(
  bench: Parameters<typeof play>[0],
  actors: readonly Actor[],
  { name, strategy, n, seed, fps, variants }: Options,
): Promise<Played[]> {
  const enrolling = progress('enrolments', actors.length);
  const templates = new Map<string, Float32Array | null>();
  for (const actor of actors) {
    templates.set(actor.name, await enrolled(bench, actor, fps));
    enrolling.tick();
  }
  enrolling.end();
  const bar = progress('attempts', n);
  const stage = stageOf(bench.pool);
  // One lane more than threads: none of them waits while footage is read.
  const played = await inLanes(bench.pool.threads + 1, n, async (i) => {
    const victim = actors[i % actors.length]!;
    const others = actors.filter((a) => a !== victim);
    const variant = below(randomOf('variant', seed, i), variants);
    const cast = { victim, others, fps, variant, stage };
    const found = await play(bench, templates.get(victim.name)!, cast, strategy, [name, seed, i]);
    bar.tick();
    return found;
  });
  bar.end();
  return played;
}

async function described(actor: Actor) {
  const takes = await Promise.all(
    actor.gestures.map(async (action) => {
      const loaded = await Promise.all(actor.takes[action].map((t) => t.footage()));
      return [action, { takes: loaded.length, joins: loaded.reduce((sum, f) => sum + f.joins, 0) }] as const;
    }),
  );
  return { person: actor.name, gestures: Object.fromEntries(takes) };
}

function sectionOf({ name, strategy, seed, fps }: Options, library: Library, tally: Tally): Section {
  const { rate } = tally;
  const reasons = Object.entries(tally.reasons).sort(([, a], [, b]) => b - a);
  return {
    paragraphs: [
      `Strategy \`${name}\`: ${strategy.what}. ${tally.n} attempts of ${library.people.length} people, ` +
        `${tally.sequences} different challenges, ${fps} pictures a second, seed ${seed}: ${tally.verified} verified, ` +
        `${percent(rate.lower95)} – ${percent(rate.upper95)} (95 %).`,
    ],
    table: {
      head: ['asked', 'steps', 'done', 'else'],
      rows: Object.entries(tally.steps.byAction).map(([action, { n, done, verdicts }]) => {
        const others = Object.entries(verdicts).filter(([verdict]) => verdict !== 'done');
        return [action, `${n}`, `${done}`, others.map(([verdict, k]) => `${verdict} ${k}`).join(', ') || '–'];
      }),
    },
    notes: reasons.map(([reason, k]) => `${reason}: ${k}`),
  };
}
