import { ANTISPOOF_SIDE, antispoofInput, EYE_SIDE, eyeInput } from './crops.js';
import type { Landmarks } from './mesh.js';
import { Pyramid } from './picture.js';

const SIDE = 300;

/** A picture of one grey with noise, the same each time; `grey` may depend on the place. */
function noisy(grey: (x: number, y: number) => number, noise: number): Pyramid {
  const data = new Uint8Array(SIDE * SIDE * 3);
  let state = 1;
  for (let i = 0; i < SIDE * SIDE; i++)
    for (let c = 0; c < 3; c++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      data[3 * i + c] = Math.round(grey(i % SIDE, Math.floor(i / SIDE)) + noise * (state / 2 ** 31 - 1));
    }
  return new Pyramid({ width: SIDE, height: SIDE, data });
}

const deviation = (values: Float32Array): number => {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
};

describe("the anti-spoof's crop", () => {
  const box = { x: 170, y: 170, width: 60, height: 60 };
  const crop = (source: Pyramid, of = box): Float32Array => {
    const out = new Float32Array(ANTISPOOF_SIDE * ANTISPOOF_SIDE * 3);
    antispoofInput(source, of, 2, out);
    return out;
  };

  it('of a dim face is without the noise that makes people prints, of a lit one as it was filmed', () => {
    const [lit, dim] = [crop(noisy(() => 120, 20)), crop(noisy(() => 50, 20))];
    expect(deviation(lit)).toBeGreaterThan(7);
    expect(deviation(dim)).toBeLessThan(0.75 * deviation(lit));
    expect(dim.reduce((sum, v) => sum + v, 0) / dim.length).toBeCloseTo(50, 0);
  });

  it('is dim where the face is dim, whatever the light behind it and wherever in the picture it is', () => {
    const face = (x: number, y: number): boolean => x >= 10 && x < 70 && y >= 10 && y < 70;
    const own = { x: 10, y: 10, width: 60, height: 60 };
    const backlit = noisy((x, y) => (face(x, y) ? 50 : 200), 0);
    const lit = noisy((x, y) => (face(x, y) ? 120 : 20), 0);
    const edges = (c: Float32Array): number => Math.max(...c.slice(1, ANTISPOOF_SIDE ** 2).map((v, i) => Math.abs(v - c[i]!))); // prettier-ignore
    expect(edges(crop(backlit, own))).toBeLessThan(0.55 * 150);
    expect(edges(crop(lit, own))).toBeGreaterThan(0.55 * 100);
  });
});

describe("the eye's crop", () => {
  /** Every landmark in the middle but for the corners of the eyes. */
  const landmarks = (): Landmarks => {
    const l: Landmarks = new Float32Array(468 * 3).fill(SIDE / 2);
    for (const [i, x] of [[33, 120], [133, 160], [362, 240], [263, 280]] as const) l[3 * i] = x; // prettier-ignore
    return l;
  };
  const eye = (grey: number, luminance: number): number => {
    const out = new Float32Array(EYE_SIDE * EYE_SIDE);
    eyeInput(
      noisy(() => grey, 0),
      landmarks(),
      'right',
      luminance,
      out,
    );
    return out.reduce((sum, v) => sum + v, 0) / out.length;
  };

  it('of a dim face is lifted to the light in which the net tells open eyes from closed ones', () => {
    expect(eye(45, 50)).toBeCloseTo(108, 0);
    expect(eye(110, 130)).toBeCloseTo(110, 0);
    expect(eye(250, 60)).toBe(255);
  });

  it('is lifted by what the face lacks: what is dark before the eyes in good light stays dark', () => {
    expect(eye(20, 125)).toBeCloseTo(20, 0);
  });
});
