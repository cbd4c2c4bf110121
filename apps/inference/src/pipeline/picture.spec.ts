import { seeded } from '#testing';
import { type Affine, Pyramid, similarity, squareCrop, type TensorFormat, warp } from './picture.js';

const RGB: TensorFormat = { layout: 'nhwc', colour: 'rgb', scale: 1, offset: [0, 0, 0] };
const IDENTITY: Affine = [1, 0, 0, 0, 1, 0];

/** Red rises with x, green with y, blue is constant. */
function ramp(width: number, height: number): Pyramid {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) data.set([x, y, 200], (y * width + x) * 3);
  return new Pyramid({ data, width, height });
}

describe('warp', () => {
  it('copies under the identity, in every layout and colour order', () => {
    const source = ramp(8, 8);
    const out = new Float32Array(8 * 8 * 3);
    const at = (x: number, y: number): number => y * 8 + x;
    warp(source, IDENTITY, 8, 8, RGB, out);
    expect([...out.slice(at(3, 5) * 3, at(3, 5) * 3 + 3)]).toEqual([3, 5, 200]);
    warp(source, IDENTITY, 8, 8, { ...RGB, layout: 'nchw', colour: 'bgr', offset: [1, 2, 3] }, out);
    expect([out[at(3, 5)], out[64 + at(3, 5)], out[128 + at(3, 5)]]).toEqual([201, 7, 6]);
    warp(source, IDENTITY, 8, 8, { ...RGB, colour: 'grey' }, out);
    expect(out[at(3, 5)]).toBeCloseTo(0.299 * 3 + 0.587 * 5 + 0.114 * 200, 4);
  });

  it('interpolates between pixels and is black outside the picture and outside the area', () => {
    const source = ramp(8, 8);
    const out = new Float32Array(8 * 8 * 3);
    warp(source, [1, 0, 0.25, 0, 1, 0.5], 8, 8, RGB, out);
    expect([out[0], out[1], out[2]]).toEqual([0.25, 0.5, 200]);
    warp(source, [1, 0, -100, 0, 1, 0], 8, 8, { ...RGB, offset: [-1, -1, -1] }, out);
    expect(new Set(out)).toEqual(new Set([-1]));
    warp(source, IDENTITY, 8, 8, RGB, out, { x0: 2, y0: 0, x1: 6, y1: 8 });
    expect([out[1 * 3 + 2], out[2 * 3 + 2], out[6 * 3 + 2]]).toEqual([0, 200, 0]);
  });

  it('reads a halved level for a strong reduction and stays where it should', () => {
    const out = new Float32Array(16 * 16 * 3);
    warp(ramp(128, 128), [8, 0, 3.5, 0, 8, 3.5], 16, 16, RGB, out);
    // Output pixel 5 covers source pixels 40..47, whose mean is 43.5.
    for (const mean of [out[5 * 3]!, out[(5 * 16 + 5) * 3 + 1]!])
      expect(Math.abs(mean - 43.5)).toBeLessThanOrEqual(0.5);
  });

  it('halves only what is looked at, and that as it halves the whole', () => {
    const pick = (source: Pyramid, x: number, y: number): Float32Array => {
      const out = new Float32Array(16 * 16 * 3);
      warp(source, [3, 0.2, x, -0.2, 3, y], 16, 16, RGB, out);
      return out;
    };
    const whole = ramp(200, 160);
    const partly = ramp(200, 160);
    for (const [x, y] of [[90, 40], [20, 100], [-30, -10], [180, 150], [400, 400]] as const)
    {
      const part = pick(partly, x, y);
      whole.at(8);
      expect(part).toEqual(pick(whole, x, y));
    }
  }); // prettier-ignore

  it('is the plain bilinear mean of the four neighbours, the missing ones black, whatever the map', () => {
    const random = seeded(5);
    const [width, height, side] = [40, 30, 20];
    const data = Uint8Array.from({ length: width * height * 3 }, () => 256 * random());
    const source = new Pyramid({ data, width, height });
    const pixel = (x: number, y: number, c: number): number =>
      x < 0 || y < 0 || x >= width || y >= height ? 0 : data[(y * width + x) * 3 + c]!;
    const mean = (x: number, y: number, c: number): number => {
      const [u, v] = [Math.floor(x), Math.floor(y)];
      const [fx, fy] = [x - u, y - v];
      const row = (k: number): number => pixel(u, k, c) * (1 - fx) + pixel(u + 1, k, c) * fx;
      return row(v) * (1 - fy) + row(v + 1) * fy;
    };
    for (let run = 0; run < 60; run++) {
      const map = squareCrop(60 * random() - 10, 50 * random() - 10, side * (0.1 + 1.4 * random()), run % 3 && 7 * random(), side); // prettier-ignore
      const colour = new Float32Array(side * side * 3);
      const grey = new Float32Array(side * side);
      warp(source, map, side, side, { layout: 'nchw', colour: 'bgr', scale: 2, offset: [1, 2, 3] }, colour);
      warp(source, map, side, side, { layout: 'nhwc', colour: 'grey', scale: 2, offset: [1] }, grey);
      let worst = 0;
      for (let y = 0, i = 0; y < side; y++)
        for (let x = 0; x < side; x++, i++) {
          const at = [map[0] * x + map[1] * y + map[2], map[3] * x + map[4] * y + map[5]] as const;
          const [r = 0, g = 0, b = 0] = [0, 1, 2].map((c) => mean(...at, c));
          const expected = [2 * b + 1, 2 * g + 2, 2 * r + 3, 2 * (0.299 * r + 0.587 * g + 0.114 * b) + 1];
          const found = [colour[i]!, colour[side * side + i]!, colour[2 * side * side + i]!, grey[i]!];
          worst = Math.max(worst, ...expected.map((v, k) => Math.abs(v - found[k]!)));
        }
      expect(worst).toBeLessThan(3e-4);
    }
  });

  it('survives maps that are no numbers', () => {
    const out = new Float32Array(16 * 16 * 3);
    for (const bad of [NaN, Infinity, -Infinity, 1e300, -1e300])
      for (let i = 0; i < 6; i++)
        for (const colour of ['rgb', 'grey'] as const)
          warp(ramp(32, 32), IDENTITY.map((v, k) => (k === i ? bad : v)) as unknown as Affine, 16, 16, { ...RGB, colour }, out.subarray(0, colour === 'grey' ? 256 : 768)); // prettier-ignore
    warp(ramp(32, 32), IDENTITY, 16, 16, RGB, out);
    expect([...out.slice(0, 6)]).toEqual([0, 0, 200, 1, 0, 200]);
  });

  it('is loaded with one frame after the other', () => {
    const source = ramp(128, 96);
    source.at(4);
    const next = ramp(128, 96).base;
    next.data.fill(77);
    source.load(next);
    expect(new Set(source.at(4).picture.data)).toEqual(new Set([77]));
    source.load(ramp(64, 64).base);
    expect(source.at(2).picture).toMatchObject({ width: 32, height: 32 });
  });

  it('wipes every level and crop, of all frames since the last time', () => {
    const source = ramp(64, 64);
    const crop = new Float32Array(16 * 16 * 3);
    warp(source, IDENTITY, 16, 16, RGB, crop);
    source.at(4);
    source.load(ramp(32, 16).base);
    const memory = new Uint8Array(source.at(1).picture.data.buffer);
    expect(memory.some((v) => v !== 0)).toBe(true);
    source.wipe();
    expect(memory.every((v) => v === 0)).toBe(true);
  });

  it('leaves a picture to its owner, who may move it away', () => {
    const source = ramp(64, 64);
    const { data } = source.base;
    source.at(4);
    source.wipe();
    expect(data.some((v) => v !== 0)).toBe(true);
    structuredClone(data, { transfer: [data.buffer as ArrayBuffer] });
    expect(() => source.wipe()).not.toThrow();
  });

  it('leaves nothing behind when another one is used', () => {
    const [first, second] = [ramp(64, 64), ramp(32, 16)];
    const memory = new Uint8Array(first.at(4).picture.data.buffer);
    second.at(1);
    expect(memory.subarray(32 * 16 * 3).every((v) => v === 0)).toBe(true);
    expect([...first.at(1).picture.data]).toEqual([...first.base.data]);
  });
});

describe('maps', () => {
  it('a crop has its centre in the middle and turns with the face', () => {
    const m = squareCrop(100, 50, 192, Math.PI / 2, 192);
    expect([m[0] * 96 + m[1] * 96 + m[2], m[3] * 96 + m[4] * 96 + m[5]]).toEqual([
      expect.closeTo(100, 4),
      expect.closeTo(50, 4),
    ]);
    // A step to the right in the crop is a step down in the picture.
    expect([m[0], m[3]]).toEqual([expect.closeTo(0, 6), expect.closeTo(1, 6)]);
  });

  it('a similarity is found again from its points', () => {
    const to: [number, number][] = [[38, 51], [73, 51], [56, 71], [41, 92], [70, 92]]; // prettier-ignore
    const truth: Affine = [1.2, -0.4, 30, 0.4, 1.2, -7];
    const from = to.map(([x, y]): [number, number] => [
      truth[0] * x + truth[1] * y + truth[2],
      truth[3] * x + truth[4] * y + truth[5],
    ]);
    const found = similarity(from, to);
    for (const [i, v] of truth.entries()) expect(found[i]).toBeCloseTo(v, 6);
  });
});
