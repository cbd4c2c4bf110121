import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../models/repository-root.js';
import { SEGMENTS } from './segments.js';

const FOLDER = join(repositoryRoot(), 'test', 'media');

interface Index {
  segments: { person: string; segment: string; fps: number; frames: { file: string; tMs: number }[] }[];
}
const { segments } = JSON.parse(readFileSync(join(FOLDER, 'index.json'), 'utf8')) as Index;

describe('the committed footage', () => {
  it('is what the plan cuts, every frame of it a JPEG and listed once', () => {
    expect(segments.map((s) => `${s.person}/${s.segment}`)).toEqual(SEGMENTS.map((s) => `${s.person}/${s.segment}`));
    const listed = segments.flatMap((segment) => segment.frames.map((frame) => frame.file));
    const present = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.jpg'));
    expect(listed.sort()).toEqual(present.sort());
    for (const file of listed) {
      expect(readFileSync(join(FOLDER, file)).subarray(0, 3).toString('hex')).toBe('ffd8ff');
    }
  });

  it('stays below 8 MB and within what one step may carry (120 frames, 4 MB)', () => {
    const bytesOf = (frames: { file: string }[]): number =>
      frames.reduce((sum, { file }) => sum + statSync(join(FOLDER, file)).size, 0);
    expect(bytesOf(segments.flatMap((segment) => segment.frames))).toBeLessThan(8e6);
    for (const { frames } of segments) {
      expect(frames.length).toBeLessThanOrEqual(120);
      expect(bytesOf(frames)).toBeLessThan(4e6);
    }
  });

  it('runs at the clip’s own rate, also across a cut', () => {
    for (const { fps, frames } of segments) {
      expect(frames.map((frame) => frame.tMs)).toEqual(frames.map((_, i) => Math.round((i * 1000) / fps)));
    }
  });
});
