import type { Detection } from './detector.js';
import { type Landmarks, type Region, regionOfDetection, regionOfLandmarks } from './mesh.js';
import type { Picture } from './picture.js';

/** Landmarks in picture pixels, and the probability, 0..1, that the region holds a face. */
export interface MeshReading {
  landmarks: Landmarks;
  presence: number;
}

/** Below this a region holds no face. */
export const PRESENCE_MIN = 0.5;
/** Boxes this weak are looked at where there is nothing better. */
const SECOND_LOOK_SCORE = 0.15;
/** So many boxes are tried at most: a picture without a face must not cost more than one with many. */
const TRIED_MAX = 4;

/** How much a face is the subject of the picture: large, and near the middle. */
export const prominence = (d: Detection, picture: Pick<Picture, 'width' | 'height'>): number =>
  d.width * centrality(d, picture);

/** 1 in the middle of the picture, 0 in a corner. */
function centrality(d: Detection, { width, height }: Pick<Picture, 'width' | 'height'>): number {
  const off = Math.hypot(d.x + d.width / 2 - width / 2, d.y + d.height / 2 - height / 2);
  return 1 - off / Math.hypot(width / 2, height / 2);
}

/**
 * The picture's subject: of all boxes the first, by `weight`, that the mesh confirms; where it confirms none, weaker
 * boxes get a chance. The detector cuts another crop than tracking does, and the pose shifts with the crop, so the mesh
 * is asked again in the crop that tracking will use. Null: no face.
 *
 * @param look one run of the detector, read at a score limit; all its boxes, best first.
 */
export async function findFace(
  look: (scoreMin?: number) => Detection[],
  mesh: (region: Region) => Promise<MeshReading>,
  weight: (d: Detection) => number,
): Promise<MeshReading | null> {
  for (const found of [look(), look(SECOND_LOOK_SCORE)]) {
    const byWeight = found.sort((a, b) => weight(b) - weight(a)).slice(0, TRIED_MAX);
    for (const face of byWeight) {
      const first = await mesh(regionOfDetection(face));
      const reading = await mesh(regionOfLandmarks(first.landmarks));
      if (reading.presence >= PRESENCE_MIN) return reading;
    }
  }
  return null;
}
