import sharp from 'sharp';
import type { Action } from '#contracts';
import type { Frame, Media } from './media.js';
import { seeded } from './random.js';

/** What a person in front of a camera answers when the server asks for a gesture. */
export interface Performer {
  readonly name: string;
  perform(action: Action): Promise<Frame[]>;
}

const NOISE_PIXELS = 16;

/**
 * A camera films anew each time: exposure and sensor noise differ, so no two frames are the same bytes. `vary` re-encodes
 * footage like that, mirrored where a side is missing. Exposure alone is not enough: JPEG's quantisation swallows it now
 * and then. So one corner, away from the face, gets the noise that a sensor gives everywhere.
 */
async function vary(frames: Frame[], mirror: boolean, random: () => number): Promise<Frame[]> {
  const gain = 0.97 + 0.06 * random();
  return Promise.all(
    frames.map(async ({ tMs, jpeg }) => {
      const offset = 3 * (random() - 0.5);
      const quality = 82 + Math.floor(8 * random());
      const noise = Buffer.from(Array.from({ length: NOISE_PIXELS ** 2 * 3 }, () => 96 + 64 * random()));
      const image = sharp(jpeg).linear(gain, offset);
      const filmed = (mirror ? image.flop() : image).composite([
        { input: noise, raw: { width: NOISE_PIXELS, height: NOISE_PIXELS, channels: 3 }, left: 0, top: 0 },
      ]);
      return { tMs, jpeg: await filmed.jpeg({ quality }).toBuffer() };
    }),
  );
}

/** A person who does what is asked, from recorded footage. */
export class RecordedPerson implements Performer {
  private readonly random: () => number;

  constructor(
    private readonly media: Media,
    readonly name: string,
    seed = 1,
  ) {
    this.random = seeded(seed);
  }

  async perform(action: Action): Promise<Frame[]> {
    const takes = this.media.takes(this.name, action);
    const take = takes[Math.floor(this.random() * takes.length)];
    if (!take) throw new Error(`no footage of ${this.name} showing ${action}`);
    return vary(await this.media.load(take.segment), take.mirror, this.random);
  }
}

/** An attacker who holds one printed still before the camera, whatever is asked. */
export class StillPhoto implements Performer {
  private readonly random: () => number;

  constructor(
    private readonly media: Media,
    readonly name: string,
    seed = 1,
  ) {
    this.random = seeded(seed);
  }

  async perform(_action?: Action): Promise<Frame[]> {
    const take = this.media.takes(this.name, 'still')[0];
    const photo = take && (await this.media.load(take.segment))[0];
    if (!photo) throw new Error(`no still of ${this.name}`);
    const frames = Array.from({ length: 44 }, (_, i) => ({ tMs: Math.round((i * 1000) / 24), jpeg: photo.jpeg }));
    return vary(frames, false, this.random);
  }
}
