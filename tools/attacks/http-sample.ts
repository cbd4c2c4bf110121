import { rm } from 'node:fs/promises';
import { startApps, startServices, temporaryFolder } from '#stack';
import { CHALLENGE_STEPS } from '#contracts';
import { inLanes } from '#testing';
import { progress } from '../eval/progress.js';
import { type Section } from '../eval/report.js';
import { type Bench, enrolled, type Played, play } from './attempts.js';
import { reasonsOf } from './document.js';
import type { Actor } from './footage.js';
import { type HttpPlay, nameOf, newRun, playUser } from './http.js';
import { below, randomOf } from './random.js';
import { SPECIES } from './species.js';
import { stageOf } from './stage.js';
import { STRATEGIES } from './strategies.js';
import type { SuiteOptions } from './suite.js';

export interface HttpRow {
  name: string;
  what: string;
  /** Not one may be accepted. */
  none: boolean;
  n: number;
  accepted: number;
  /** Of those that could be judged here as well: accepted here, and decided alike. */
  compared: number;
  acceptedHere: number;
  alike: number;
  /** What a client learns. */
  reasons: Record<string, number>;
}

interface Plan extends HttpPlay {
  name: string;
}

/** The frames of before, byte for byte. */
const REUSED = {
  reused_step: { again: 'step', what: "genuine, but the second step sends the first step's frames, byte for byte" },
  reused_attempt: { again: 'attempt', what: 'the frames of the attempt before, byte for byte' },
} as const;
type Reused = keyof typeof REUSED;
const isReused = (name: string): name is Reused => Object.hasOwn(REUSED, name);

/** Two failures an account: the third would lock it. The reuse of an attempt needs one before it. */
function plansOf(n: number): (readonly string[])[] {
  const live = Object.keys(SPECIES).filter((name) => !SPECIES[name]!.knowsChallenge);
  const names = [...live, 'reused_step', 'reused_attempt', 'reused_step', 'reused_attempt'];
  const users: string[][] = [];
  let open: string[] | null = null;
  let planned = 0;
  for (let i = 0; planned < n; i++) {
    const name = names[i % names.length]!;
    if (name === 'reused_attempt') {
      const pair = planned + 1 < n ? ['live_switch', name] : ['reused_step'];
      users.push(pair);
      planned += pair.length;
      continue;
    }
    planned++;
    // What is refused leaves the attempt open: nothing comes after it.
    if (name === 'reused_step') users.push([name]);
    else if (open) {
      open.push(name);
      open = null;
    } else users.push((open = [name]));
  }
  return users;
}

/** A stack of its own; attempts by several users at a time, in real time; each is then judged here too. */
export async function runHttpSample(
  bench: Bench,
  actors: readonly Actor[],
  n: number,
  parallel: number,
  { seed, fps, variants }: SuiteOptions,
): Promise<HttpRow[]> {
  // Each account gets mails; the catcher tells of every one.
  const log = (line: string): void => {
    if (!line.startsWith('mail: ')) console.error(line);
  };
  const dir = temporaryFolder('attacks');
  const ending: (() => Promise<void>)[] = [() => rm(dir, { recursive: true, force: true })];
  const end = async (): Promise<void> => {
    for (let one = ending.pop(); one; one = ending.pop()) await one();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void end().finally(() => process.exit(130)));
  const users = plansOf(n);
  const run = newRun();
  const found: { plan: Plan; name: (string | number)[]; http: Played }[] = [];
  const stage = stageOf(bench.pool);
  try {
    const services = await startServices({ dir, ephemeral: true, log });
    ending.push(() => services.stop());
    const apps = await startApps(services, { dir, log, gatewayPort: 0 });
    ending.push(() => apps.stop());
    const bar = progress('attempts over HTTP', n);
    await inLanes(parallel, users.length, async (user) => {
      const victim = actors[user % actors.length]!;
      const others = actors.filter((a) => a !== victim);
      const plans = users[user]!.map((name, i): Plan => {
        const variant = below(randomOf('variant', seed, name, user, i), variants);
        const cast = { victim, others, fps, variant, stage };
        if (isReused(name)) return { name, cast, strategy: STRATEGIES.genuine, again: REUSED[name].again };
        return { name, cast, strategy: SPECIES[name]! };
      });
      const played = await playUser({ url: apps.gatewayUrl, pool: bench.pool, run }, user, plans);
      for (const [i, http] of played.entries()) found.push({ plan: plans[i]!, name: nameOf(run, user, i), http });
      bar.tick(plans.length);
    });
    bar.end();
  } finally {
    await end();
  }

  const bar = progress('judged here', found.length);
  const templates = new Map<Actor, Float32Array | null>();
  for (const actor of actors) templates.set(actor, await enrolled(bench, actor, fps));
  const rows = new Map<string, HttpRow>();
  await inLanes(bench.pool.threads + 1, found.length, async (i) => {
    const { plan, name, http } = found[i]!;
    const { cast, strategy, again } = plan;
    const comparable = again === undefined && http.actions.length === CHALLENGE_STEPS;
    const here = comparable ? await play(bench, templates.get(cast.victim)!, cast, strategy, name, http.actions) : null;
    bar.tick();
    const row = rows.get(plan.name) ?? rowOf(plan.name);
    rows.set(plan.name, row);
    const accepted = http.reason === 'verified';
    row.n++;
    if (accepted) row.accepted++;
    else row.reasons[http.reason] = (row.reasons[http.reason] ?? 0) + 1;
    if (!here) return;
    row.compared++;
    if (here.reason === 'verified') row.acceptedHere++;
    if ((here.reason === 'verified') === accepted) row.alike++;
  });
  bar.end();
  return [...Object.keys(SPECIES), ...Object.keys(REUSED)].flatMap((name) => rows.get(name) ?? []);
}

function rowOf(name: string): HttpRow {
  const [what, none] = isReused(name)
    ? [REUSED[name].what, true]
    : [SPECIES[name]!.what, SPECIES[name]!.bar === 'none'];
  return { name, what, none, n: 0, accepted: 0, compared: 0, acceptedHere: 0, alike: 0, reasons: {} };
}

export function httpSection(rows: readonly HttpRow[], how: string): { title: string; section: Section } {
  const sum = (of: (row: HttpRow) => number): number => rows.reduce((total, row) => total + of(row), 0);
  const reused = rows.filter((r) => isReused(r.name));
  return {
    title: 'Over HTTP',
    section: {
      paragraphs: [
        'A sample of the same attacks through the public API of a running stack, in real time, several users at a ' +
          `time; challenges are the gateway's. ${how} Each attempt was then filmed anew and judged by the same ` +
          'functions as above against the same challenge: “alike” counts how often both accepted or both refused. ' +
          'Reasons are what a client learns.',
        `Together ${sum((r) => r.n)} attempts: ${sum((r) => (r.none ? r.accepted : 0))} accepted of ` +
          `${sum((r) => (r.none ? r.n : 0))} that must not be; ${sum((r) => r.alike)} of ${sum((r) => r.compared)} decided alike; ` +
          `${reused.reduce((total, r) => total + r.accepted, 0)} of ${reused.reduce((total, r) => total + r.n, 0)} with frames of before, byte for byte, accepted.`,
      ],
      table: {
        head: ['species', 'must not pass', 'n', 'accepted', 'judged here', 'accepted here', 'alike', 'ended as'],
        rows: rows.map((r) => [
          `\`${r.name}\``,
          r.none ? 'yes' : '',
          `${r.n}`,
          `${r.accepted}`,
          `${r.compared}`,
          r.compared > 0 ? `${r.acceptedHere}` : '–',
          r.compared > 0 ? `${r.alike}` : '–',
          reasonsOf(r.reasons),
        ]),
      },
      notes: reused.map((r) => `\`${r.name}\`: ${r.what}`),
    },
  };
}

/** A forbidden species that was accepted, or frames of before that were taken for new ones. */
export const httpFaults = (rows: readonly HttpRow[]): string[] =>
  rows.flatMap((r) => {
    if (r.none && r.accepted > 0) return [`passed over HTTP, and must not: ${r.name}`];
    const judged = Object.entries(r.reasons).filter(([reason]) => !reason.startsWith('refused: '));
    const n = judged.reduce((sum, [, k]) => sum + k, 0);
    return isReused(r.name) && n > 0 ? [`frames of before were judged: ${n} of ${r.name}`] : [];
  });
