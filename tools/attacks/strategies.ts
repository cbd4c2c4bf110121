import type { Action } from '#contracts';
import { CHALLENGE_STEPS, challengeSteps } from '#contracts';
import type { Actor, Footage, Take } from './footage.js';
import { performed } from './footage.js';
import { durationOf, type Film, frameAt, frozenFrom, joined, sampled } from './film.js';
import type { Stage } from './stage.js';
import { below, between, oneOf, type Random, randomOf } from './random.js';

/** Who is there in one attempt. */
export interface Cast {
  /** The enrolled person. */
  victim: Actor;
  others: readonly Actor[];
  fps: number;
  /** Number of this filming: light, camera, and every chance inside of a film follow from it. */
  variant: number;
  stage: Stage;
}

/** The answer to one step. The key names the film. */
export interface Answer {
  key: string;
  film: () => Promise<Film>;
}

/** Answers one revealed step; what comes after it is not known yet. */
export type Answerer = (action: Action, step: number) => Answer;

export interface Strategy {
  what: string;
  /** Needs a second person in the library. */
  others?: true;
  /** Cannot be played live: it needs to know the whole challenge, see `wrong_order`. */
  knowsChallenge?: true;
  /** What is prepared before the attempt begins. */
  prepare(cast: Cast, random: Random, challenge: readonly Action[]): Answerer;
}

/** One performance of an action by an actor. */
export function performance(
  cast: Cast,
  actor: Actor,
  action: Action | 'neutral',
): { key: string; footage: () => Promise<Footage> } {
  const takes = actor.takes[action];
  const take = takes[cast.variant % takes.length];
  if (!take) throw new RangeError(`no footage of ${actor.name} showing ${action}`);
  const key = `${actor.name}/${take.id}/${action}/${cast.fps}/${cast.variant}`;
  return { key, footage: async () => performed(await take.footage(), cast.fps, [key]) };
}

/** An actor who does what is asked, or, where that was never filmed, something else that was. */
export const willing = (actor: Actor, action: Action): Action =>
  actor.gestures.includes(action) ? action : actor.gestures[0]!;

/** A performance with something done to its film. */
export function altered(
  cast: Cast,
  actor: Actor,
  action: Action,
  name: string,
  alter: (footage: Footage, random: Random) => Film | Promise<Film>,
): Answer {
  const { key, footage } = performance(cast, actor, willing(actor, action));
  const own = `${name}/${key}`;
  return { key: own, film: async () => alter(await footage(), randomOf(own)) };
}

export const plain = (cast: Cast, actor: Actor, action: Action): Answer =>
  altered(cast, actor, action, 'plain', ({ film }) => film);

/** A frame at rest: of the neutral footage, else from before a gesture. */
export async function restOf(actor: Actor): Promise<Film[number]> {
  const take: Take = actor.takes.neutral[0] ?? actor.takes[actor.gestures[0]!][0]!;
  const { film, gesture } = await take.footage();
  return frameAt(film, actor.takes.neutral[0] ? durationOf(film) / 2 : Math.min(100, gesture.fromMs));
}

const STILL_MS = 3_000;
const HOLD_MS = 1_500;

export const standing = (picture: Film[number], fps: number, ms: number): Film => sampled([{ ...picture, tMs: 0 }], fps, ms, () => 0); // prettier-ignore

/** The core of a gesture, played so that it takes at most `ms`. */
function core({ film, gesture }: Footage, fps: number, ms: number): Film {
  const from = Math.max(0, gesture.fromMs - 300);
  const to = Math.min(durationOf(film), gesture.toMs + 200);
  const pace = Math.max(1, (to - from) / ms);
  return sampled(film, fps, (to - from) / pace, (tMs) => from + tMs * pace);
}

const TABLE = {
  genuine: {
    what: 'the enrolled person does what is asked',
    prepare: (cast) => (action) => plain(cast, cast.victim, action),
  },
  impostor: {
    what: 'another person does what is asked',
    others: true,
    prepare: (cast, random) => {
      const other = oneOf(random, cast.others);
      return (action) => plain(cast, other, action);
    },
  },
  wrong_action: {
    what: 'the enrolled person; in one step, drawn beforehand, another gesture than asked',
    prepare: (cast, random) => {
      const wrong = below(random, CHALLENGE_STEPS);
      const which = random();
      return (action, step) => {
        const others = cast.victim.gestures.filter((g) => g !== action);
        return plain(cast, cast.victim, step === wrong ? oneOf(() => which, others) : action);
      };
    },
  },
  still: {
    what: 'one picture of the enrolled person, held still',
    prepare: (cast) => () => ({
      key: `still/${cast.victim.name}/${cast.fps}/${cast.variant}`,
      film: async () => standing(await restOf(cast.victim), cast.fps, STILL_MS),
    }),
  },
  frozen: {
    what: 'the right gesture, but the video stands still from some moment before its end on',
    prepare: (cast) => (action) =>
      altered(cast, cast.victim, action, 'frozen', ({ film, gesture }, random) => {
        const at = between(random, 0, gesture.toMs);
        const whole = joined(film, standing(film.at(-1)!, cast.fps, HOLD_MS));
        return sampled(frozenFrom(whole, at), cast.fps, Math.max(STILL_MS, at + HOLD_MS), (t) => t);
      }),
  },
  loop: {
    what: 'one recording of all gestures of the enrolled person in a row, played round and round whatever is asked',
    prepare: (cast, random) => {
      const phase = below(random, 8) / 8;
      return (_, step) => {
        const key = `loop/${cast.victim.name}/${cast.fps}/${cast.variant}/${phase}/${step}`;
        return { key, film: () => everything(cast, phase + step / CHALLENGE_STEPS) };
      };
    },
  },
  spliced: {
    what: 'the enrolled person; in one step, drawn beforehand, a stretch of the frames shows another person',
    others: true,
    prepare: (cast, random) => {
      const in_ = below(random, CHALLENGE_STEPS);
      const other = oneOf(random, cast.others);
      return (action, step) => (step === in_ ? spliced(cast, other, action) : plain(cast, cast.victim, action));
    },
  },
  replay: {
    what: 'a recorded good session answering another, independently drawn challenge, filmed anew',
    prepare: (cast, random) => {
      const { gestures } = cast.victim;
      const recorded = Array.from({ length: challengeSteps(gestures.length) }, () => oneOf(random, gestures));
      return (_, step) => plain(cast, cast.victim, recorded[step]!);
    },
  },
} satisfies Record<string, Strategy>;

export type StrategyName = keyof typeof TABLE;
export const STRATEGIES: Readonly<Record<StrategyName, Strategy>> = TABLE;
export const STRATEGY_NAMES = Object.keys(TABLE) as StrategyName[];
export const isStrategy = (name: string): name is StrategyName => Object.hasOwn(TABLE, name);

/** All gestures in a row within one step, from a phase of the round on. */
async function everything(cast: Cast, phase: number): Promise<Film> {
  const { victim, fps } = cast;
  const each = 5_400 / victim.gestures.length;
  const films: Film[] = [];
  for (const action of victim.gestures) films.push(core(await performance(cast, victim, action).footage(), fps, each));
  const round = joined(...films);
  const length = durationOf(round);
  return sampled(round, fps, length, (t) => (t + phase * length) % length);
}

function spliced(cast: Cast, other: Actor, action: Action): Answer {
  const own = performance(cast, cast.victim, action);
  const foreign = performance(cast, other, willing(other, action));
  const key = `spliced/${own.key}/${foreign.key}`;
  return {
    key,
    film: async () => {
      const { film } = await own.footage();
      const theirs = (await foreign.footage()).film;
      const random = randomOf(key);
      const length = between(random, 0.3, 0.8) * durationOf(film);
      const from = random() * (durationOf(film) - length);
      return film.map((f) => (f.tMs >= from && f.tMs < from + length ? { ...frameAt(theirs, f.tMs), tMs: f.tMs } : f));
    },
  };
}
