import type { Landmarks } from './mesh.js';
import { type Picture, Pyramid } from './picture.js';
import { StillPlace } from './still-place.js';

const WIDTH = 160;
const HEIGHT = 120;
const FPS = 20;

/** Something with structure, moved by `dx` pixels, by a camera with noise of its own on each frame. */
function picture(frame: number, { dx = 0, gain = 1 } = {}): Picture {
  const data = new Uint8Array(WIDTH * HEIGHT * 3);
  const across = Float64Array.from({ length: WIDTH }, (_, x) => Math.sin((x - dx) / 7));
  let state = 1 + frame;
  for (let at = 0; at < data.length; at += 3) {
    const x = (at / 3) % WIDTH;
    const y = Math.floor(at / 3 / WIDTH);
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const noise = 6 * (state / 2 ** 32 - 0.5);
    const grey = (120 + 50 * across[x]! * Math.cos(y / 9)) * gain + noise;
    data[at] = data[at + 1] = data[at + 2] = grey + 0.5;
  }
  return { data, width: WIDTH, height: HEIGHT };
}

/** Landmarks as far as a patch is laid by them: eye corners and the base of the nose. */
function landmarks(drift: number): Landmarks {
  const l = new Float32Array(478 * 3);
  const put = (points: readonly number[], x: number, y: number): void => {
    for (const p of points) l.set([x, y, 0], 3 * p);
  };
  put([33, 133], 52 + drift, 42);
  put([362, 263], 108 + drift, 42 - drift / 2);
  put([2], 80 + drift, 78 + drift / 3);
  return l;
}

function lastOf(film: (frame: number) => { shown: Picture; drift: number }): number[] {
  const place = new StillPlace();
  const source = new Pyramid();
  return Array.from({ length: 40 }, (_, i) => {
    const { shown, drift } = film(i);
    source.load(shown);
    return place.look(source, landmarks(drift), (i * 1000) / FPS);
  });
}

describe('the pixels of one place', () => {
  it('stay what they are on a still picture, whatever landmarks drift and however its camera is noisy', () => {
    const still = lastOf((i) => ({ shown: picture(i), drift: i / 4 }));
    expect(still.at(-1)).toBe(1_950);
  });

  it('stay what they are while only the light changes', () => {
    expect(lastOf((i) => ({ shown: picture(i, { gain: 1 + 0.002 * Math.sin(i) }), drift: 0 })).at(-1)).toBe(1_950);
  });

  it('stand still from the moment on at which a film does', () => {
    const frozen = lastOf((i) => ({ shown: picture(i, { dx: Math.min(i, 12) }), drift: Math.min(i, 12) }));
    expect(frozen.at(-1)).toBeGreaterThanOrEqual(1_300);
  });

  it('change where a face moves by half a pixel a frame, or sways by a pixel', () => {
    const moving = lastOf((i) => ({ shown: picture(i, { dx: i / 2 }), drift: i / 2 }));
    expect(Math.max(...moving)).toBeLessThan(200);
    const swaying = lastOf((i) => ({ shown: picture(i, { dx: Math.sin(i / 5) }), drift: Math.sin(i / 5) }));
    expect(Math.max(...swaying)).toBeLessThan(600);
  });
});
