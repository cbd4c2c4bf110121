import { ANCHORS, decodeDetections, detectorInput, type DetectorOutput, overlap } from './detector.js';
import { Pyramid } from './picture.js';

const nothing = (): DetectorOutput => ({
  scores16: new Float32Array(512).fill(-10),
  scores8: new Float32Array(384).fill(-10),
  boxes16: new Float32Array(512 * 16),
  boxes8: new Float32Array(384 * 16),
});
const map = detectorInput(
  new Pyramid({ data: new Uint8Array(640 * 480 * 3), width: 640, height: 480 }),
  new Float32Array(256 * 256 * 3),
);

describe('BlazeFace', () => {
  it('has 896 anchors: 16 × 16 × 2, then 8 × 8 × 6, at the cell centres', () => {
    expect(ANCHORS.length).toBe(896 * 2);
    expect([...ANCHORS.slice(0, 4)]).toEqual([1 / 32, 1 / 32, 1 / 32, 1 / 32]);
    expect(ANCHORS[1024]).toBe(1 / 16);
    expect(ANCHORS[896 * 2 - 1]).toBe(15 / 16);
  });

  it('gives a box in picture pixels, letterbox taken out', () => {
    const out = nothing();
    const i = 2 * (8 * 16 + 8); // cell (8, 8): centre 136 of 256
    out.scores16[i] = 5;
    out.boxes16.set([-8, -8, 64, 64], i * 16);
    const [face, ...others] = decodeDetections(out, map);
    expect(others).toEqual([]);
    expect(face).toMatchObject({ width: 160, height: 160 });
    // The middle of the input is the middle of the picture.
    expect(face!.x + 80).toBeCloseTo(319.5, 0);
    expect(face!.y + 80).toBeCloseTo(239.5, 0);
    expect(face!.points).toHaveLength(6);
  });

  it('counts a face once and two faces twice, and ignores scores that are no numbers', () => {
    const out = nothing();
    for (const [cell, score] of [
      [40, 4],
      [41, 3],
      [300, 2],
      [500, NaN],
    ] as const) {
      // prettier-ignore
      out.scores16[cell] = score;
      out.boxes16.set([0, 0, 64, 64], cell * 16);
    }
    expect(decodeDetections(out, map).map((d) => d.score)).toEqual([
      expect.closeTo(0.982, 3),
      expect.closeTo(0.881, 3),
    ]);
  });

  it('overlap is 1 for a box and itself, 0 for boxes apart', () => {
    const a = { x: 0, y: 0, width: 2, height: 2 };
    expect(overlap(a, a)).toBe(1);
    expect(overlap(a, { ...a, x: 1 })).toBeCloseTo(1 / 3, 6);
    expect(overlap(a, { ...a, x: 5 })).toBe(0);
  });
});
