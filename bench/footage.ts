import path from 'node:path';
import sharp from 'sharp';
import type { Action } from '#contracts';
import { repositoryRoot } from '#stack';
import { type Frame, Media } from '#testing';

const WIDTH = 640;
const HEIGHT = 480;
/** What browsers write from a canvas by default is 92; the page and phones send about this. */
const QUALITY = 85;

/** Frames of one step as a camera sends them: real faces of the committed footage as 640 × 480 JPEG. */
export interface Take {
  action: Action;
  frames: Frame[];
}

const TAKES: readonly { person: string; action: Action }[] = [
  { person: 'franck', action: 'smile' },
  { person: 'franck', action: 'turn_right' },
  { person: 'cap', action: 'blink' },
];

export async function takes(framesEach: number): Promise<Take[]> {
  const media = new Media(path.join(repositoryRoot(), 'test/media'));
  return Promise.all(
    TAKES.map(async ({ person, action }) => {
      const take = media.takes(person, action).at(-1);
      if (!take) throw new Error(`no footage of ${person} showing ${action}`);
      const frames = (await media.load(take.segment)).slice(0, framesEach);
      return { action, frames: await Promise.all(frames.map(asCamera)) };
    }),
  );
}

async function asCamera({ tMs, jpeg }: Frame): Promise<Frame> {
  return { tMs, jpeg: await sharp(jpeg).resize(WIDTH, HEIGHT, { fit: 'cover' }).jpeg({ quality: QUALITY }).toBuffer() };
}
