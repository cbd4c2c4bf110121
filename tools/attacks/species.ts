import type { Action } from '#contracts';
import type { Cover, Effect, FacePlace, PhotoPose } from './effects.js';
import { durationOf, type Film, frameAt, joined, reversed, sampled } from './film.js';
import type { Footage } from './footage.js';
import { below, between, oneOf, type Random, randomOf } from './random.js';
import { altered, type Answer, type Cast, performance, plain, restOf, standing, type Strategy, STRATEGIES, willing } from './strategies.js'; // prettier-ignore

/** `none`: not one may pass. `order`: passes where the draw happens to fit. `listed`: known to pass, told with its rate. */
export type Bar = 'none' | 'order' | 'listed';

export interface Species extends Strategy {
  bar: Bar;
  /** Attempts are cheap where the steps are those of other species: so many times as many. */
  times?: number;
}

const STILL_MS = 3_000;

/** A film of one photo of the victim, with something done to every picture of it; the asked action is known. */
function photo(
  name: string,
  effects: (o: { face: FacePlace; action: Action; random: Random; fps: number }) => (tMs: number) => Effect[],
): Strategy['prepare'] {
  return (cast) => (action) => {
    const key = `${name}/${cast.victim.name}/${action}/${cast.fps}/${cast.variant}`;
    return {
      key,
      film: async () => {
        const picture = await restOf(cast.victim);
        const face = await cast.stage.faceOf(picture, `${cast.victim.name}/rest`);
        const at = effects({ face, action, random: randomOf(key), fps: cast.fps });
        return standing(picture, cast.fps, STILL_MS).map((f) => ({ ...f, effects: at(f.tMs) }));
      },
    };
  };
}

/** The right gesture, switched live, with its film altered. */
const live =
  (name: string, alter: (footage: Footage, random: Random, cast: Cast) => Film): Strategy['prepare'] =>
  (cast) =>
  (action) =>
    altered(cast, cast.victim, action, name, (footage, random) => alter(footage, random, cast));

/** 0 at the start and the end, 1 in the middle, held there for a while. */
function swing(tMs: number): number {
  const t = tMs / STILL_MS;
  if (t < 0.25 || t > 0.95) return 0;
  if (t < 0.5) return (t - 0.25) / 0.25;
  return t < 0.75 ? 1 : (0.95 - t) / 0.2;
}

/** Which way a photo is turned for what is asked: towards that side, else up and down or nearer. */
function poseFor(action: Action, degrees: number, random: Random): PhotoPose {
  if (action === 'turn_left') return { yaw: -degrees };
  if (action === 'turn_right') return { yaw: degrees };
  return random() < 0.5 ? { pitch: degrees * 0.6 } : { roll: degrees * 0.4, dy: 0.2 };
}

const scaled = (pose: PhotoPose, s: number): PhotoPose =>
  Object.fromEntries(Object.entries(pose).map(([k, v]) => [k, k === 'zoom' || k === 'bend' ? v : v * s]));

const turnedPhoto = (bent: boolean): Strategy['prepare'] =>
  photo(bent ? 'photo_bent' : 'photo_turned', ({ face, action, random }) => {
    const pose = poseFor(action, bent ? between(random, 35, 60) : between(random, 12, 55), random);
    const drift = { dx: between(random, -0.1, 0.1), zoom: between(random, 0.95, 1.1) };
    const bend = bent ? { bend: between(random, 0.7, 2) * (random() < 0.85 ? 1 : -1) } : {};
    return (tMs) => [{ kind: 'photo', face, pose: { ...drift, ...bend, ...scaled(pose, swing(tMs)) } }];
  });

/** Something passes the eyes about once a second. */
const swept = (
  name: string,
  cover: (random: Random) => Omit<Cover, 'dx' | 'dy'>,
  along: 'across' | 'down',
): Strategy['prepare'] =>
  // prettier-ignore
  photo(name, ({ face, random }) => {
    const shape = cover(random);
    const period = between(random, 700, 1_100);
    const passing = between(random, 150, 450);
    return (tMs) => {
      const t = ((tMs + 300) % period) / passing;
      if (t > 1) return [];
      const way = (t - 0.5) * 3;
      const place = along === 'across' ? { dx: way, dy: 0 } : { dx: 0, dy: way * 0.6 };
      return [{ kind: 'cover', face, cover: { ...shape, ...place } }];
    };
  });

/** A strip is there for the time of a blink. */
const patched = (name: string, cover: (random: Random) => Cover): Strategy['prepare'] =>
  photo(name, ({ face, random }) => {
    const shape = cover(random);
    const period = between(random, 600, 1_000);
    const closed = between(random, 120, 320);
    return (tMs) => ((tMs + period / 2) % period < closed ? [{ kind: 'cover', face, cover: shape }] : []);
  });

/** A photo in a hand. */
function swaying(random: Random): (tMs: number) => Effect {
  const [dx, dy, roll] = [between(random, 0.004, 0.02), between(random, 0.004, 0.02), between(random, 0.3, 2)];
  const w = between(random, 2, 6) / 1000;
  return (t) => ({
    kind: 'move',
    dx: dx * Math.sin(w * t),
    dy: dy * Math.cos(1.3 * w * t),
    roll: roll * Math.sin(0.7 * w * t),
    zoom: 1.02 + 0.02 * Math.sin(0.4 * w * t),
  });
}

/**
 * Two photos of the victim, held in a hand and cut over: at rest and at the height of what is asked, or, every other filming, at what is
 * just enough of it. `hidden`: no frame was sent around the cut, as if they had been dropped on the way.
 */
function cutOver(cast: Cast, action: Action, hidden: boolean): Answer {
  const asked = willing(cast.victim, action);
  const key = `${hidden ? 'cut_hidden' : 'cut_over'}/held/${cast.victim.name}/${asked}/${cast.fps}/${cast.variant}`;
  return {
    key,
    film: async () => {
      const { rest, height, enough } = await cast.stage.picturesOf(cast.victim, asked, cast.variant);
      const high = cast.variant % 2 === 0 ? height : enough;
      const random = randomOf(key);
      const period = between(random, 700, 1_000);
      const from = between(random, 700, 1_200);
      const gap = hidden ? between(random, 60, asked === 'blink' ? 130 : 450) : 0;
      const sway = swaying(random);
      const isHigh = (tMs: number): boolean => (asked === 'blink' ? (tMs + period / 2) % period < 220 : tMs >= from);
      const isLost = (tMs: number): boolean => [0.25, 0.5, 0.75, 1].some((s) => isHigh(tMs) !== isHigh(tMs + s * gap));
      return sampled([{ ...rest, tMs: 0 }], cast.fps, STILL_MS, () => 0)
        .filter(({ tMs }) => tMs === 0 || !isLost(tMs))
        .map(({ tMs }) => ({ ...(isHigh(tMs) ? high : rest), tMs, effects: [sway(tMs)] }));
    },
  };
}

/** The right gesture, with the frames of another person in turn; `runOf` says how many of one before the other's. */
const alternating =
  (name: string, runOf: (random: Random) => number): Strategy['prepare'] =>
  (cast, random) => {
    const other = oneOf(random, cast.others);
    return (action) => {
      const theirs = performance(cast, other, willing(other, action));
      return altered(cast, cast.victim, action, `${name}/${theirs.key}`, async ({ film }, chance) => {
        const foreign = (await theirs.footage()).film;
        const run = runOf(chance);
        return film.map((f, i) => (Math.floor(i / run) % 2 ? { ...frameAt(foreign, f.tMs), tMs: f.tMs } : f));
      });
    };
  };

const wholeFilm = (film: Film, effects: readonly Effect[]): Film => film.map((f) => ({ ...f, effects: [...(f.effects ?? []), ...effects] })); // prettier-ignore

const swapped: Readonly<Record<Action, Action>> = { blink: 'blink', smile: 'smile', turn_left: 'turn_right', turn_right: 'turn_left' }; // prettier-ignore

/** In another order than asked, which only who knows the order can be sure of; all alike cannot be out of order. */
function disordered(challenge: readonly Action[], random: Random): Action[] | null {
  const [first, second, third, ...rest] = challenge;
  const orders = [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]].map((o) => [...o.map((i) => [first!, second!, third!][i]!), ...rest]); // prettier-ignore
  // Of a longer one whose first three are alike any other beginning will do.
  for (let i = 3; i < challenge.length; i++) orders.push([...challenge.slice(i), ...challenge.slice(0, i)]);
  const wrong = orders.filter((o) => o.some((a, i) => a !== challenge[i]));
  return wrong.length > 0 ? oneOf(random, wrong) : null;
}

export const SPECIES: Readonly<Record<string, Species>> = {
  still: { ...STRATEGIES.still, bar: 'none' },
  still_moved: {
    bar: 'none',
    what: 'that picture with shake, zoom, flickering light, noise and heavy compression',
    prepare: photo('still_moved', ({ random }) => {
      const [dx, dy, roll, zoom] = [0.03, 0.03, 4, 0.12].map((max) => between(random, 0, max)) as [number, number, number, number]; // prettier-ignore
      const flicker = between(random, 0.05, 0.3);
      const quality = Math.round(between(random, 25, 60));
      const w = between(random, 4, 12) / 1000;
      return (t) => [
        { kind: 'move', dx: dx * Math.sin(w * t), dy: dy * Math.cos(1.3 * w * t), roll: roll * Math.sin(0.7 * w * t), zoom: 1 + zoom * Math.sin(0.4 * w * t) }, // prettier-ignore
        { kind: 'light', gain: 1 + flicker * Math.sin(2.1 * w * t), offset: 0 },
        { kind: 'reencode', quality },
      ];
    }),
  },
  photo_turned: {
    bar: 'none',
    times: 2,
    what: 'a flat photo, turned towards the asked side by 12–55°, tilted or moved where no turn is asked',
    prepare: turnedPhoto(false),
  },
  photo_bent: {
    bar: 'none',
    times: 2,
    what: 'a photo bent to a cylinder and turned by 35–60°, tilted or moved where no turn is asked',
    prepare: turnedPhoto(true),
  },
  pen: {
    bar: 'none',
    what: 'a still; a pen or finger passes the eyes, from the side or from above',
    prepare: (cast, random, challenge) => {
      const shape = (r: Random): Omit<Cover, 'dx' | 'dy'> => ({ width: between(r, 0.12, 0.4), height: 2, roll: between(r, -25, 25), colour: r() < 0.5 ? 'skin' : [30, 30, 40] }); // prettier-ignore
      const lying = (r: Random): Omit<Cover, 'dx' | 'dy'> => ({ width: 2.4, height: between(r, 0.1, 0.35), roll: between(r, -8, 8), colour: r() < 0.5 ? 'skin' : [30, 30, 40] }); // prettier-ignore
      const down = cast.variant % 2 === 0;
      const sweep = down ? swept('pen_down', lying, 'down') : swept('pen_across', shape, 'across');
      return sweep(cast, random, challenge);
    },
  },
  patch: {
    bar: 'none',
    what: 'a still; a strip, dark or of skin, lies over both eyes for as long as a blink',
    prepare: patched('patch', (r) => ({ dx: 0, dy: between(r, -0.05, 0.05), width: 1.4, height: between(r, 0.25, 0.5), roll: 0, colour: r() < 0.6 ? 'skin' : [60, 50, 45] })), // prettier-ignore
  },
  patch_thin: {
    bar: 'none',
    what: 'the same with a thin strip of skin that covers hardly more than the eyes',
    prepare: patched('patch_thin', (r) => ({ dx: 0, dy: between(r, -0.03, 0.03), width: between(r, 1.05, 1.25), height: between(r, 0.12, 0.22), roll: 0, colour: 'skin' })), // prettier-ignore
  },
  wrong_action: { ...STRATEGIES.wrong_action, bar: 'none', times: 4 },
  wrong_order: {
    bar: 'none',
    knowsChallenge: true,
    times: 4,
    what: 'the gestures that are asked, in another order',
    prepare: (cast, random, challenge) => {
      const order = disordered(challenge, random);
      // All three alike: the order is right whatever one does, so another gesture is shown.
      const other = oneOf(random, cast.victim.gestures.filter((g) => g !== challenge[0])); // prettier-ignore
      return (_, step) => plain(cast, cast.victim, order ? order[step]! : other);
    },
  },
  frozen: { ...STRATEGIES.frozen, bar: 'none' },
  loop: { ...STRATEGIES.loop, bar: 'none' },
  impostor: { ...STRATEGIES.impostor, bar: 'none', times: 4 },
  spliced: { ...STRATEGIES.spliced, bar: 'none' },
  spliced_step: {
    bar: 'none',
    times: 4,
    others: true,
    what: 'the right gestures; one step, drawn beforehand, by another person',
    prepare: (cast, random) => {
      const foreign = below(random, 3);
      const other = oneOf(random, cast.others);
      return (action, step) => plain(cast, step === foreign ? other : cast.victim, action);
    },
  },
  alternating: {
    bar: 'none',
    times: 2,
    others: true,
    what: 'the right gestures; every other picture shows another person',
    prepare: alternating('alternating', () => 1),
  },
  alternating_runs: {
    bar: 'none',
    times: 2,
    others: true,
    what: 'the same in runs of two to six pictures',
    prepare: alternating('alternating_runs', (random) => 2 + below(random, 5)),
  },
  replay: { ...STRATEGIES.replay, bar: 'order', times: 10 },
  live_switch: {
    bar: 'listed',
    times: 4,
    what: 'clean video of every gesture, switched live to what is asked (a virtual camera)',
    prepare: (cast) => (action) => plain(cast, cast.victim, action),
  },
  mirrored: {
    bar: 'listed',
    what: 'the same, mirrored: the turn to the other side, turned over',
    prepare: (cast) => (action) =>
      altered(cast, cast.victim, swapped[action], 'mirrored', ({ film }) => wholeFilm(film, [{ kind: 'mirror' }])),
  },
  cut_over: {
    bar: 'listed',
    what: 'photos only: a hard cut from rest to the height of the gesture; closed eyes cut in and out for blinks',
    prepare: (cast) => (action) => cutOver(cast, action, false),
  },
  cut_hidden: {
    bar: 'listed',
    what: 'the same with the cut in a gap: the frames of 0.06 to 0.45 s before it were not sent',
    prepare: (cast) => (action) => cutOver(cast, action, true),
  },
  recapture: {
    bar: 'listed',
    what: 'the right gesture filmed off a display: moiré, gamma, blur, bezel',
    prepare: live('recapture', ({ film }, random) => {
      const screen = {
        period: between(random, 2.2, 7),
        angle: between(random, 0, 180),
        strength: between(random, 0.02, 0.09),
        gamma: between(random, 0.8, 1.3),
        blur: between(random, 0, 1.1),
        border: random() < 0.5 ? between(random, 0.02, 0.06) : 0,
      };
      return film.map((f) => ({ ...f, effects: [{ kind: 'screen', screen: { ...screen, phase: 6.28 * random() } }] }));
    }),
  },
  reversed: {
    bar: 'listed',
    what: 'the right gesture, played backwards',
    prepare: live('reversed', ({ film }) => reversed(film)),
  },
  slowed: {
    bar: 'listed',
    what: 'the right gesture at half speed',
    prepare: live('slowed', ({ film }, _, { fps }) => sampled(film, fps, durationOf(film) * 2, (t) => t / 2)),
  },
  sped_up: {
    bar: 'listed',
    what: 'the right gesture at double speed',
    prepare: live('sped_up', ({ film }, _, { fps }) => sampled(film, fps, durationOf(film) / 2, (t) => t * 2)),
  },
  looped: {
    bar: 'listed',
    what: 'the right gesture, played again and again until the window ends',
    prepare: live('looped', ({ film }, _, { fps }) => sampled(joined(film, film, film), fps, 5_200, (t) => t)),
  },
  dropped: {
    bar: 'listed',
    what: 'the right gesture; a third of the frames is missing',
    prepare: live('dropped', ({ film }, random) => film.filter((_, i) => i === 0 || random() > 0.33)),
  },
  duplicated: {
    bar: 'listed',
    what: 'the right gesture; every other frame is shown twice',
    prepare: live('duplicated', ({ film }) => film.map((f, i) => ({ ...film[i - (i % 2)]!, tMs: f.tMs }))),
  },
  retimed: {
    bar: 'listed',
    what: 'the right gesture with times that lie by up to half a frame',
    prepare: live('retimed', ({ film }, random) => {
      const gap = durationOf(film) / Math.max(1, film.length - 1);
      return film.map((f, i) => ({ ...f, tMs: i === 0 ? 0 : f.tMs + between(random, -0.45, 0.45) * gap }));
    }),
  },
};
