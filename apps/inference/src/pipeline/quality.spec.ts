import { PATCH_SIDE } from './crops.js';
import { Pyramid } from './picture.js';
import { bandCorrelation, detail, exposure, luminance, sharpness } from './quality.js';

const patch = (f: (x: number, y: number) => number): Float32Array =>
  Float32Array.from({ length: PATCH_SIDE * PATCH_SIDE }, (_, i) => f(i % PATCH_SIDE, Math.floor(i / PATCH_SIDE)));
const face = patch((x, y) => 120 + 50 * Math.sin(x / 4) * Math.cos(y / 5));

describe('signals of a face patch', () => {
  it('the band of the same face stays, whatever happens at the eyes, and however the light changes', () => {
    const blinking = patch((x, y) => (y > 25 && y < 34 && (x < 28 || x > 35) ? 200 : (face[y * PATCH_SIDE + x] ?? 0)));
    expect(bandCorrelation(blinking, face)).toBeCloseTo(1, 6);
    expect(
      bandCorrelation(
        face.map((v) => v * 0.9 + 5),
        face,
      ),
    ).toBeGreaterThan(0.95);
  });

  it('an occluder over nose and cheeks shows, with structure or without', () => {
    expect(
      bandCorrelation(
        patch((x, y) => 100 + 60 * Math.cos(x / 2 + y)),
        face,
      ),
    ).toBeLessThan(0.8);
    expect(
      bandCorrelation(
        patch(() => 90),
        face,
      ),
    ).toBeLessThan(0.8);
  });

  it('a strip before the eyes alone shows at the bridge, and one that is a little higher at the brows', () => {
    const strip = (from: number, to: number, grey: number) =>
      patch((x, y) => (y >= from && y < to ? grey : (face[y * PATCH_SIDE + x] ?? 0)));
    expect(bandCorrelation(strip(25, 35, 30), face)).toBeLessThan(0.8);
    expect(bandCorrelation(strip(16, 35, 120), face)).toBeLessThan(0.8);
  });

  it('eyes and mouth are drawn until something covers them, whatever the light', () => {
    const seen = detail(face);
    expect(detail(face.map((v) => v * 0.6)).lidRight).toBeCloseTo(seen.lidRight, 5);
    const glasses = detail(patch((x, y) => (y > 23 && y < 36 ? 20 : (face[y * PATCH_SIDE + x] ?? 0))));
    expect(glasses.eyeShade).toBeLessThan(0.3 * seen.eyeShade);
    expect(Math.max(glasses.lidRight, glasses.lidLeft)).toBeLessThan(0.02);
    expect(glasses.mouthDetail).toBeCloseTo(seen.mouthDetail, 5);
    const mask = detail(patch((x, y) => (y > 44 ? 200 : (face[y * PATCH_SIDE + x] ?? 0))));
    expect(mask.mouthDetail).toBeLessThan(0.02);
    expect(mask.lidLeft).toBeCloseTo(seen.lidLeft, 5);
  });

  it('sharpness falls with blur and not with contrast', () => {
    const sharp = patch((x, y) => 120 + 60 * (((x >> 1) + (y >> 1)) % 2));
    const flat = sharp.map((v) => 120 + (v - 120) * 0.3);
    expect(sharpness(sharp)).toBeGreaterThan(2 * sharpness(face));
    expect(sharpness(flat)).toBeCloseTo(sharpness(sharp), 3);
    expect(sharpness(patch(() => 10))).toBe(0);
    expect(luminance(patch(() => 10))).toBe(10);
  });
});

describe('exposure of a whole picture', () => {
  const picture = (grey: (x: number) => number): Pyramid =>
    new Pyramid({
      width: 320,
      height: 240,
      data: Uint8Array.from({ length: 320 * 240 * 3 }, (_, i) => grey(Math.floor(i / 3) % 320)),
    });

  it('is given as shares of its area', () => {
    expect(exposure(picture(() => 8))).toEqual({ dark: 1, clipped: 0, middle: 0 });
    expect(exposure(picture(() => 255))).toEqual({ dark: 0, clipped: 1, middle: 0 });
    const half = exposure(picture((x) => (x < 160 ? 120 : 254)));
    expect(half.middle).toBeCloseTo(0.5, 1);
    expect(half.clipped).toBeCloseTo(0.5, 1);
  });
});
