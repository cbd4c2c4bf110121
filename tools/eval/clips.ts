import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { DecodedFrame } from '../../apps/inference/src/pipeline/analyse.js';
import { decodePhoto } from '../../apps/inference/src/threads/decode.js';
import { MissingFilesError, UsageError } from './fault.js';

/** Pictures as a camera would send them: times from the start of what was asked for. */
export interface Clip {
  /** Pictures a second that the recording holds. A higher rate would only repeat them. */
  nativeFps: number;
  /** Encoded pictures between two times of the clip, at most `fps` a second. */
  frames(fps: number, fromSeconds?: number, toSeconds?: number): AsyncIterable<{ tMs: number; bytes: Uint8Array }>;
}

/** A camera page sends no larger pictures. */
const SIDE_MAX = 1280;
const STILL = /\.(jpe?g|webp)$/i;

export const isStill = (file: string): boolean => STILL.test(file);

/**
 * Finds every clip or names all that are missing. A clip is a video (needs ffmpeg on PATH), or a folder of frames
 * `001.jpg, 002.jpg, …`, or, for `name.mp4` where there is no ffmpeg, such a folder called `name`.
 *
 * @param framesFps rate at which folders of frames were taken.
 */
export function openClips(root: string, files: readonly string[], framesFps: number): Map<string, Clip> {
  const out = new Map<string, Clip>();
  const missing: string[] = [];
  const unreadable: string[] = [];
  for (const file of new Set(files)) {
    const place = path.join(root, file);
    const folder = [place, place.replace(/\.[^./\\]+$/, '')].find((p) => existsSync(p) && statSync(p).isDirectory());
    if (existsSync(place) && !statSync(place).isDirectory() && hasFfmpeg()) out.set(file, video(place));
    else if (folder) out.set(file, frameFolder(folder, framesFps));
    else if (existsSync(place)) unreadable.push(place);
    else missing.push(place);
  }
  if (missing.length > 0) throw new MissingFilesError(missing);
  if (unreadable.length > 0)
    throw new UsageError(
      `ffmpeg is not on PATH, so these cannot be read:\n${unreadable.map((f) => `  ${f}`).join('\n')}\n` +
        'Install ffmpeg, or put the frames of name.mp4 as 001.jpg, 002.jpg, … into a folder called name beside it.',
    );
  return out;
}

let found: boolean | undefined;
const hasFfmpeg = (): boolean => (found ??= spawnSync('ffmpeg', ['-version'], { stdio: 'ignore' }).status === 0);

/** Decoded by the product's decoder. */
export async function* decoded(
  frames: AsyncIterable<{ tMs: number; bytes: Uint8Array }>,
): AsyncGenerator<DecodedFrame> {
  for await (const { tMs, bytes } of frames) yield { tMs, picture: await decodePhoto(bytes) };
}

function frameFolder(folder: string, nativeFps: number): Clip {
  const files = readdirSync(folder)
    .filter((f) => STILL.test(f))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  if (files.length === 0) throw new UsageError(`no frames (001.jpg, …) in ${folder}`);
  return {
    nativeFps,
    async *frames(fps, fromSeconds = 0, toSeconds = Infinity) {
      const rate = Math.min(fps, nativeFps);
      for (let k = 0; ; k++) {
        const seconds = fromSeconds + k / rate;
        const file = files[Math.round(seconds * nativeFps)];
        if (seconds > toSeconds || file === undefined) return;
        yield { tMs: (k / rate) * 1000, bytes: readFileSync(path.join(folder, file)) };
      }
    },
  };
}

function video(file: string): Clip {
  const nativeFps = rateOfVideo(file);
  return {
    nativeFps,
    async *frames(fps, fromSeconds = 0, toSeconds = Infinity) {
      const rate = Math.min(fps, nativeFps);
      const scale = `scale=w='min(${SIDE_MAX},iw)':h='min(${SIDE_MAX},ih)':force_original_aspect_ratio=decrease`;
      const span = ['-ss', `${fromSeconds}`, ...(toSeconds < Infinity ? ['-to', `${toSeconds}`] : [])];
      const child = spawn(
        'ffmpeg',
        // prettier-ignore
        ['-v', 'error', '-nostdin', ...span, '-i', file, '-an', '-vf', `fps=${rate},${scale}`,
          '-pix_fmt', 'yuvj420p', '-c:v', 'mjpeg', '-q:v', '2', '-f', 'image2pipe', 'pipe:1'],
        { stdio: ['ignore', 'pipe', 'pipe'] },
      );
      let said = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
      let k = 0;
      try {
        for await (const bytes of jpegs(child.stdout)) yield { tMs: (k++ / rate) * 1000, bytes };
        if ((await ended) !== 0) throw new Error(`ffmpeg cannot read ${file}: ${said.trim()}`);
      } finally {
        child.kill('SIGKILL');
      }
    },
  };
}

/** From what ffmpeg says of the file: `…, 25 fps, …`. */
function rateOfVideo(file: string): number {
  const { stderr } = spawnSync('ffmpeg', ['-nostdin', '-hide_banner', '-i', file], { encoding: 'utf8' });
  const match = /Video:.*?([\d.]+) fps/.exec(stderr) ?? /Video:.*?([\d.]+) tbr/.exec(stderr);
  if (!match) throw new UsageError(`ffmpeg finds no video in ${file}`);
  return Number(match[1]);
}

/** Cuts a stream of JPEGs one after the other: inside of one, 0xFFD9 stands at its end only. */
async function* jpegs(stream: AsyncIterable<Buffer>): AsyncGenerator<Uint8Array> {
  const end = Buffer.from([0xff, 0xd9]);
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    let searched = Math.max(0, rest.length - 1);
    rest = Buffer.concat([rest, chunk]);
    for (let at = rest.indexOf(end, searched); at >= 0; at = rest.indexOf(end, searched)) {
      yield Uint8Array.from(rest.subarray(0, at + 2));
      rest = rest.subarray(at + 2);
      searched = 0;
    }
  }
}
