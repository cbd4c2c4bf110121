import type { Action } from '#contracts';
import type { Sample } from '../../apps/inference/src/pipeline/gestures.js';
import type { AnalysisPool } from './analysis-pool.js';
import type { Look } from './camera.js';
import type { FacePlace } from './effects.js';
import type { Film, FilmFrame } from './film.js';
import type { Actor } from './footage.js';

/** What an attacker sees with the naked eye in the footage he holds: where the face is, which picture shows what. */
export interface Stage {
  faceOf(picture: FilmFrame, name: string): Promise<FacePlace>;
  /** Pictures of a take: at rest, at the height of the gesture, and where it is two thirds done. */
  picturesOf(actor: Actor, action: Action, take: number): Promise<Record<'rest' | 'height' | 'enough', FilmFrame>>;
}

const PLAIN: Look = { gain: 1, offset: 0, noise: 0, quality: 95, side: 640, crop: 0, seed: 'stage' };

const ENOUGH = 2 / 3;

const HEIGHT: Readonly<Record<Action, (s: Sample, rest: Sample) => number>> = {
  blink: (s) => -(s.aspectLeft + s.aspectRight),
  smile: (s) => s.happy + s.mouthWidth,
  turn_left: (s, rest) => s.yaw - rest.yaw,
  turn_right: (s, rest) => rest.yaw - s.yaw,
};

export function stageOf(pool: AnalysisPool): Stage {
  const facesIn = async (
    key: string,
    film: Film,
  ): Promise<{ width: number; samples: (Sample & { frame: number })[] }> => {
    const { track } = await pool.analyse(`stage|${key}`, () => Promise.resolve(film), PLAIN);
    const samples = track.frames.flatMap((f, frame) => (f.face ? [{ ...f.face, tMs: f.tMs, frame }] : []));
    if (samples.length === 0) throw new Error(`no face in the footage of ${key}`);
    return { width: track.width, samples };
  };
  return {
    async faceOf(picture, name) {
      const { width, samples } = await facesIn(name, [{ ...picture, tMs: 0 }]);
      const { x, y, eyeSpan } = samples[0]!;
      return { x: x / width, y: y / width, eyeSpan: eyeSpan / width };
    },
    async picturesOf(actor, action, take) {
      const takes = actor.takes[action];
      const chosen = takes[take % takes.length]!;
      const { film } = await chosen.footage();
      const { samples } = await facesIn(`${actor.name}/${chosen.id}/${action}`, film);
      const rest = samples[Math.min(2, samples.length - 1)]!;
      const height = samples.reduce((a, b) => (HEIGHT[action](b, rest) > HEIGHT[action](a, rest) ? b : a));
      const of = (s: Sample): number => HEIGHT[action](s, rest);
      const wanted = of(rest) + ENOUGH * (of(height) - of(rest));
      const enough = samples.reduce((a, b) => (Math.abs(of(b) - wanted) < Math.abs(of(a) - wanted) ? b : a));
      return { rest: film[rest.frame]!, height: film[height.frame]!, enough: film[enough.frame]! };
    },
  };
}
