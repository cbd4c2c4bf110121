import type { Detection } from './detector.js';
import { findFace, type MeshReading, prominence } from './find-face.js';
import type { Region } from './mesh.js';

const PICTURE = { width: 640, height: 480 };
const box = (cx: number, cy: number, width: number, score = 0.9): Detection => ({
  score,
  x: cx - width / 2,
  y: cy - width / 2,
  width,
  height: width,
  points: [
    [cx - width / 5, cy],
    [cx + width / 5, cy],
  ],
});

/** Landmarks that spread around the region's centre; a face wherever `isFace` says so. */
const meshOf =
  (isFace: (x: number) => boolean) =>
  ({ cx, cy, size }: Region): Promise<MeshReading> =>
    Promise.resolve({
      landmarks: Float32Array.from({ length: 468 * 3 }, (_, i) =>
        i % 3 === 0 ? cx + (((i / 3) % 21) / 20 - 0.5) * (size / 1.5) : i % 3 === 1 ? cy : 0,
      ),
      presence: isFace(cx) ? 0.9 : 0.1,
    });
const look =
  (...boxes: Detection[]) =>
  (scoreMin = 0.5): Detection[] =>
    boxes.filter((b) => b.score >= scoreMin);
const weight = (d: Detection): number => prominence(d, PICTURE);
const foundAt = async (...args: Parameters<typeof findFace>): Promise<number | null> => {
  const landmarks = (await findFace(...args))?.landmarks;
  if (!landmarks) return null;
  let sum = 0;
  for (let i = 0; i < landmarks.length; i += 3) sum += landmarks[i]!;
  return Math.round(sum / 468 / 20) * 20;
};

describe('the subject of a picture', () => {
  const anyFace = meshOf(() => true);

  it('is the face in the middle, even if one at the edge is a little larger', async () => {
    expect(await foundAt(look(box(80, 80, 180), box(320, 240, 150)), anyFace, weight)).toBe(320);
    expect(await foundAt(look(box(80, 80, 180), box(320, 240, 150)), anyFace, (d) => d.width)).toBe(80);
  });

  it('is the large face, even if a small one is nearer the middle', async () => {
    expect(await foundAt(look(box(220, 240, 200), box(320, 240, 60)), anyFace, weight)).toBe(220);
  });

  it('is a face that the mesh confirms: of those boxes the next one, else a weaker box, else none', async () => {
    const boxes = look(box(320, 240, 150), box(100, 240, 140), box(500, 240, 140, 0.2));
    expect(await foundAt(boxes, meshOf((x) => x < 200), weight)).toBe(100); // prettier-ignore
    expect(await foundAt(boxes, meshOf((x) => x > 400), weight)).toBe(500); // prettier-ignore
    expect(await foundAt(boxes, meshOf(() => false), weight)).toBeNull(); // prettier-ignore
  });
});
