import { type Action, ACTIONS } from '#contracts';
import { inLanes } from '#testing';
import { progress } from '../eval/progress.js';
import { type Bench, drawnFor, enrolled, type Played, play } from './attempts.js';
import type { Actor } from './footage.js';
import { below, randomOf } from './random.js';
import { type Bar, SPECIES, type Species } from './species.js';
import { stageOf } from './stage.js';
import { type Tally, tallyOf } from './tally.js';

export interface SuiteOptions {
  only: readonly string[];
  seed: number;
  n: number;
  fps: number;
  variants: number;
}

export interface SpeciesResult {
  name: string;
  bar: Bar;
  what: string;
  tally: Tally;
  /** P(live) of each attempt that nothing but the anti-spoof would refuse. */
  lives: number[];
  /** Steps that were filmed and analysed for it and for no species before it. */
  steps: number;
}

/** Every challenge of three of the four gestures: the suite goes through all of them in turn. */
const ALL: readonly Action[][] = ACTIONS.flatMap((a) => ACTIONS.flatMap((b) => ACTIONS.map((c) => [a, b, c])));
/** Each so many-th attempt is on somebody who cannot make all gestures, with challenges drawn for that person. */
const OTHERS_EVERY = 5;

/** All species on enrolled people, judged by the product's functions; steps that recur are analysed once. `done` hears of each. */
export async function runSuite(
  bench: Bench,
  actors: readonly Actor[],
  o: SuiteOptions,
  done: (result: SpeciesResult) => void,
): Promise<SpeciesResult[]> {
  const chosen = Object.entries(SPECIES).filter(([name]) => o.only.length === 0 || o.only.includes(name));
  const templates = new Map<Actor, Float32Array | null>();
  for (const actor of actors) templates.set(actor, await enrolled(bench, actor, o.fps));
  const bar = progress('attempts', chosen.reduce((sum, [, s]) => sum + o.n * (s.times ?? 1), 0)); // prettier-ignore
  const results: SpeciesResult[] = [];
  for (const [name, species] of chosen) {
    const before = bench.pool.analysed;
    const one = async (i: number): Promise<Played> => {
      const found = await attackOf(bench, actors, templates, name, species, o, i);
      bar.tick();
      return found;
    };
    const played = await inLanes(bench.pool.threads + 1, o.n * (species.times ?? 1), one);
    const result: SpeciesResult = {
      name,
      bar: species.bar,
      what: species.what,
      tally: tallyOf(played),
      lives: played.flatMap((p) => p.live ?? []),
      steps: bench.pool.analysed - before,
    };
    results.push(result);
    done(result); // prettier-ignore
  }
  bar.end();
  return results;
}

function attackOf(
  bench: Bench,
  actors: readonly Actor[],
  templates: ReadonlyMap<Actor, Float32Array | null>,
  name: string,
  species: Species,
  { seed, fps, variants }: SuiteOptions,
  i: number,
): Promise<Played> {
  const able = actors.filter((a) => a.gestures.length === ACTIONS.length);
  const lacking = actors.filter((a) => a.gestures.length < ACTIONS.length);
  const isOther = lacking.length > 0 && i % OTHERS_EVERY === OTHERS_EVERY - 1;
  const among = isOther || able.length === 0 ? lacking : able;
  const victim = among[Math.floor(i / OTHERS_EVERY) % among.length]!;
  const others = actors.filter((a) => a !== victim);
  const variant = below(randomOf('variant', seed, name, i), variants * (species.bar === 'none' ? (species.times ?? 1) : 1)); // prettier-ignore
  const cast = { victim, others, fps, variant, stage: stageOf(bench.pool) };
  // 64 and the offset have no common divisor: every challenge comes in turn, whatever the others take away.
  const challenge = isOther ? drawnFor(victim, [name, seed, i]) : ALL[(i * 13) % ALL.length]!;
  return play(bench, templates.get(victim)!, cast, species, [name, seed, i], challenge);
}
