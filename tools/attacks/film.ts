import { CAPTURE_LIMITS } from '#contracts';
import type { Effect } from './effects.js';

/** A picture of a film before a camera took it: source footage and what is done to it. */
export interface FilmFrame {
  tMs: number;
  jpeg: Uint8Array;
  effects?: readonly Effect[];
}
export type Film = readonly FilmFrame[];

/** Longest film: a client stops a little before the window ends, and keeps within the frames of a step. */
export const filmMsMax = (fps: number): number => Math.min(5_200, ((CAPTURE_LIMITS.framesMax - 1) * 1000) / fps);

export const durationOf = (film: Film): number => (film.at(-1)?.tMs ?? 0) - (film[0]?.tMs ?? 0);

/** The frame that is on at a time; the first before the film, the last after it. */
export function frameAt(film: Film, tMs: number): FilmFrame {
  let found = film[0];
  if (!found) throw new RangeError('a film without frames');
  for (const f of film) {
    if (f.tMs > tMs + 0.5) break;
    found = f;
  }
  return found;
}

/** Another clock: the film as seen by a camera that asks for the picture at `at(t)` when its own clock shows t. */
export function sampled(film: Film, fps: number, durationMs: number, at: (tMs: number) => number): FilmFrame[] {
  const count = Math.max(1, Math.floor((Math.min(durationMs, filmMsMax(fps)) * fps) / 1000) + 1);
  return Array.from({ length: count }, (_, k) => {
    const tMs = (k * 1000) / fps;
    return { ...frameAt(film, at(tMs)), tMs };
  });
}

/** Pictures a second that the footage holds; a camera that asks for more gets some twice. */
export function rateOfFilm(film: Film): number {
  return film.length > 1 ? ((film.length - 1) * 1000) / durationOf(film) : Infinity;
}

export const within = (film: Film, fromMs: number, toMs: number): FilmFrame[] =>
  film.filter((f) => f.tMs >= fromMs - 0.5 && f.tMs <= toMs + 0.5);

/** One film after the other, a frame's time between them; times from 0. */
export function joined(...films: Film[]): FilmFrame[] {
  const out: FilmFrame[] = [];
  for (const film of films) {
    if (film.length === 0) continue;
    const gap = film.length > 1 ? durationOf(film) / (film.length - 1) : 1000 / CAPTURE_LIMITS.fpsMax;
    const start = out.length > 0 ? out.at(-1)!.tMs + gap : 0;
    for (const f of film) out.push({ ...f, tMs: f.tMs - film[0]!.tMs + start });
  }
  return out;
}

export const reversed = (film: Film): FilmFrame[] =>
  film.map((f, i) => ({ ...film[film.length - 1 - i]!, tMs: f.tMs }));

/** Everything after `fromMs` is the picture that was on then. */
export const frozenFrom = (film: Film, fromMs: number): FilmFrame[] => {
  const still = frameAt(film, fromMs);
  return film.map((f) => (f.tMs > fromMs ? { ...still, tMs: f.tMs } : f));
};
