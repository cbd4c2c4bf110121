import type { Action } from '#contracts';
import { isTurn } from '../../apps/inference/src/pipeline/gestures.js';
import type { SignalTrack } from '../../apps/inference/src/pipeline/signals.js';
import { median } from '../../apps/inference/src/pipeline/vector.js';
import type { Look } from './camera.js';
import type { Effect, FacePlace } from './effects.js';
import { durationOf, type Film, type FilmFrame, filmMsMax } from './film.js';
import { between, type Random } from './random.js';

/** How footage is shown. */
export const SCENES = {
  plain: 'as it is',
  portrait: 'by a phone held upright (9:16), the outer eye corners 0.40 to 0.50 of its width apart',
  dim: 'in a dim room: grey of the face 40 to 70, noise to match',
  shaken: 'by a shaking hand, at most 1 to 3 eye spans a second, the shutter open for 33 ms',
  held: 'turns only: held at their height for 1.2 s',
  profile: 'turns only: on to where no face is found any more (rendered: the last picture bent and turned), and back',
} as const;
export type Scene = keyof typeof SCENES;
export const SCENE_NAMES = Object.keys(SCENES) as Scene[];
export const isScene = (name: string): name is Scene => Object.hasOwn(SCENES, name);

const SELFIE = { width: 9, height: 16, eyesAt: 0.42 };
const SHUTTER_MS = 33;
const HELD_MS = 1_200;
const HELD_FRAMES = 5;
const PROFILE = { degrees: 80, bend: 0.6, onMs: 350, lostMs: 900 };

/** Whether a scene says anything about a gesture. */
export const fits = (scene: Scene, action: Action): boolean => (scene !== 'held' && scene !== 'profile') || isTurn(action); // prettier-ignore

/** A film and a camera as a scene has them. @param seen what the product sees in the film as it is, one frame each. */
export function staged(
  film: Film,
  look: Look,
  { scene, action, seen, random }: { scene: Scene; action: Action; seen: SignalTrack; random: Random },
): { film: Film; look: Look } {
  const faces = seen.frames.flatMap((f) => (f.face ? [{ ...f.face, tMs: f.tMs }] : []));
  const middle = (of: (f: (typeof faces)[number]) => number): number => median(faces.map(of));
  const place: FacePlace = { x: middle((f) => f.x) / seen.width, y: middle((f) => f.y) / seen.width, eyeSpan: middle((f) => f.eyeSpan) / seen.width }; // prettier-ignore
  switch (scene) {
    case 'plain':
      return { film, look };
    case 'portrait': {
      const width = place.eyeSpan / between(random, 0.4, 0.5);
      const height = (width * SELFIE.height) / SELFIE.width;
      const frame = { x: place.x - width / 2, y: place.y - SELFIE.eyesAt * height, width, height };
      return { film: withEffects(film, () => [{ kind: 'frame', frame }]), look };
    }
    case 'dim': {
      const gain = between(random, 40, 70) / middle((f) => f.luminance);
      return { film, look: { ...look, gain, noise: between(random, 2, 4) } };
    }
    case 'shaken':
      return { film: withEffects(film, shaking(place, random)), look: { ...look, side: Math.min(look.side, 640) } };
    case 'held':
    case 'profile': {
      const rest = faces[0]!.yaw;
      const height = faces.reduce((a, b) => (Math.abs(b.yaw - rest) > Math.abs(a.yaw - rest) ? b : a));
      const at = film.findLastIndex((f) => f.tMs <= height.tMs + 1);
      const face: FacePlace = { x: height.x / seen.width, y: height.y / seen.width, eyeSpan: place.eyeSpan };
      return { film: scene === 'held' ? held(film, at, random) : turnedOn(film, at, face, action), look };
    }
  }
}

const withEffects = (film: Film, effects: (tMs: number) => Effect[]): FilmFrame[] =>
  film.map((f) => ({ ...f, effects: [...(f.effects ?? []), ...effects(f.tMs)] }));

function shaking({ eyeSpan }: FacePlace, random: Random): (tMs: number) => Effect[] {
  const speed = between(random, 1, 3) * eyeSpan;
  const waves = [0, 1].map(() => {
    const w = (2 * Math.PI * between(random, 1.5, 3.5)) / 1000;
    return { w, phase: 6.28 * random() };
  });
  return (tMs) => {
    const [dx, dy] = waves.map(({ w, phase }, i) => ((i === 0 ? 1 : 0.6) * speed * Math.sin(w * tMs + phase)) / (1000 * w)); // prettier-ignore
    const [vx, vy] = waves.map(({ w, phase }, i) => ((i === 0 ? 1 : 0.6) * speed * Math.cos(w * tMs + phase)) / 1000); // prettier-ignore
    return [
      { kind: 'move', dx: dx!, dy: dy!, zoom: 1, roll: 0 },
      { kind: 'smear', dx: vx! * SHUTTER_MS, dy: vy! * SHUTTER_MS },
    ];
  };
}

/** The frames up to the height played to and fro, by a camera that sways: nobody keeps as still as a picture. */
function held(film: Film, at: number, random: Random): FilmFrame[] {
  const step = durationOf(film) / (film.length - 1);
  const [wx, wy] = [between(random, 2, 5) / 1000, between(random, 2, 5) / 1000];
  const few = Math.min(HELD_FRAMES, at + 1);
  const inserted = Array.from({ length: Math.round(HELD_MS / step) }, (_, k): FilmFrame => {
    const back = few > 1 ? few - 1 - Math.abs(((k + 1) % (2 * few - 2)) - (few - 1)) : 0;
    const tMs = film[at]!.tMs + (k + 1) * step;
    const shown = film[at - back]!;
    const sway: Effect = { kind: 'move', dx: 0.01 * Math.sin(wx * tMs), dy: 0.01 * Math.sin(wy * tMs), zoom: 1, roll: 0 };
    return { ...shown, tMs, effects: [...(shown.effects ?? []), sway] };
  }); // prettier-ignore
  return inside([...film.slice(0, at + 1), ...inserted, ...later(film, at, inserted.length * step)]);
}

/** From the height the picture itself is bent and turned on until the face is lost, and back. */
function turnedOn(film: Film, at: number, face: FacePlace, action: Action): FilmFrame[] {
  const step = durationOf(film) / (film.length - 1);
  const sign = action === 'turn_left' ? -1 : 1;
  const { degrees, bend, onMs, lostMs } = PROFILE;
  const inserted = Array.from({ length: Math.round((2 * onMs + lostMs) / step) }, (_, k): FilmFrame => {
    const ms = (k + 1) * step;
    const share = Math.max(0, Math.min(1, ms / onMs, (2 * onMs + lostMs - ms) / onMs));
    const photo: Effect = { kind: 'photo', face, pose: { yaw: sign * degrees * share, bend, dx: 0.004 * Math.sin(ms / 90) } };
    return { ...film[at]!, tMs: film[at]!.tMs + ms, effects: [...(film[at]!.effects ?? []), photo] };
  }); // prettier-ignore
  return inside([...film.slice(0, at + 1), ...inserted, ...later(film, at, inserted.length * step)]);
}

const later = (film: Film, at: number, byMs: number): FilmFrame[] => film.slice(at + 1).map((f) => ({ ...f, tMs: f.tMs + byMs })); // prettier-ignore

/** A client stops before the window ends. */
const inside = (film: FilmFrame[]): FilmFrame[] => film.filter((f) => f.tMs <= filmMsMax(20));
