import { facePatch, PATCH_SIDE, patchPlace } from './crops.js';
import type { Landmarks } from './mesh.js';
import type { Affine, Pyramid } from './picture.js';
import { difference } from './quality.js';

/**
 * The difference to an old picture ÷ the mean of those between neighbours since, all variances: about 1 where all that
 * changes is noise. Still pictures stay below for as long as they last (34 films, 1.5 to 3 s); of people 0.42 s at most
 * (30 films, half of them in a dim room).
 */
const UNCHANGED_RATIO_MAX = 1.25;
/** What is less is no change, grey levels squared: a picture compressed anew, better or worse. With 2 dim people reach 0.7 s. */
const DIFFERENCE_MIN = 1;

const patch = (): Float32Array => new Float32Array(PATCH_SIDE * PATCH_SIDE);

/**
 * Looks at one place of the picture until something changes there. Landmarks drift on a still picture, most of all on a face
 * that is turned far; its pixels do not. Where they change, the place where the face is then is looked at.
 */
export class StillPlace {
  private place: Affine | null = null;
  private sinceMs = 0;
  private frames = 0;
  /** Sum of the differences between neighbours. */
  private noise = 0;
  private readonly first = patch();
  private before = patch();
  private now = patch();

  /** @returns for how long nothing but noise has changed, ms. */
  look(source: Pyramid, l: Landmarks, tMs: number): number {
    if (this.place) {
      facePatch(source, this.place, this.now);
      this.frames++;
      this.noise += difference(this.now, this.before);
      const limit = UNCHANGED_RATIO_MAX * Math.max(DIFFERENCE_MIN, this.noise / this.frames);
      if (difference(this.now, this.first) <= limit) {
        [this.before, this.now] = [this.now, this.before];
        return tMs - this.sinceMs;
      }
    }
    this.place = patchPlace(l);
    facePatch(source, this.place, this.first);
    this.before.set(this.first);
    this.sinceMs = tMs;
    this.frames = 0;
    this.noise = 0;
    return 0;
  }

  /** The face is gone, or another one is looked at. */
  forget(): void {
    this.place = null;
  }

  wipe(): void {
    this.forget();
    for (const p of [this.first, this.before, this.now]) p.fill(0);
  }
}
