import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { bombs, mutations, oddPictures } from './odd-pictures.js';

/**
 * Real: the built decoder of the worker, in a process of its own, so that a crash is seen as one and memory is what the
 * system says. It is shown the files without the gateway in front of it.
 */
const PROGRAM = `
const { readdirSync, readFileSync } = require('node:fs');
const path = require('node:path');
const { decode, prepareDecoder } = require(process.argv[1]);
const { peakMemoryBytes } = require(process.argv[2]);
const [folder, how] = process.argv.slice(3);
const rss = () => process.memoryUsage.rss();
process.on('unhandledRejection', () => process.exit(3));
(async () => {
  prepareDecoder();
  const files = readdirSync(folder).map((name) => [name, readFileSync(path.join(folder, name))]);
  const before = rss();
  const decoded = [];
  const ms = [];
  const one = async ([name, bytes]) => {
    const from = performance.now();
    const picture = await decode(bytes);
    ms.push(performance.now() - from);
    if (picture) decoded.push(name);
    if (picture && picture.data.length !== picture.width * picture.height * 3) process.exit(4);
  };
  if (how === 'parallel') await Promise.all(files.map(one));
  else for (const file of files) await one(file);
  process.stdout.write(JSON.stringify({ n: files.length, decoded, before, peak: peakMemoryBytes() ?? process.resourceUsage().maxRSS * 1024, msMax: Math.max(...ms) }));
})();
`;
const DECODER = path.resolve('dist/apps/inference/src/threads/decode.js');
const MEMORY = path.resolve('dist/libs/testing/src/peak-memory.js');
const reportSchema = z.object({
  n: z.int(),
  decoded: z.array(z.string()),
  before: z.int(),
  peak: z.int(),
  msMax: z.number(),
});

describe('what may be sent as a frame, and the worker’s decoder', () => {
  let folder: string;
  beforeAll(() => (folder = mkdtempSync(path.join(tmpdir(), 'odd-'))));
  afterAll(() => rmSync(folder, { recursive: true }));

  async function decodeAll(name: string, files: readonly Buffer[], how: 'parallel' | 'one by one') {
    const place = path.join(folder, name);
    mkdirSync(place);
    for (const [i, bytes] of files.entries()) writeFileSync(path.join(place, String(i)), bytes);
    const child = spawn(process.execPath, ['-e', PROGRAM, DECODER, MEMORY, place, how], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    return reportSchema.parse(JSON.parse(text));
  }

  it('100 files of up to 4 gigapixels at once: none is decoded, and none gets memory for its pixels (T44)', async () => {
    const files = await bombs();
    expect(Math.max(...files.map((f) => f.length))).toBeLessThan(700_000);
    const { n, decoded, before, peak } = await decodeAll('bombs', files, 'parallel');
    expect({ n, decoded }).toEqual({ n: 100, decoded: [] });
    expect(peak - before).toBeLessThan(150e6);
  }, 60_000);

  it('other formats, polyglots, large metadata, cut and oversized pictures: JPEG and WebP only, within 256 MB (T45)', async () => {
    const corpus = await oddPictures();
    const { n, decoded, peak, msMax } = await decodeAll('odd', corpus.map((c) => c.bytes), 'one by one'); // prettier-ignore
    expect(n).toBeGreaterThan(250);
    const found = new Set(decoded.map((i) => corpus[Number(i)]!.name));
    const named = (decodes: string): string[] => corpus.filter((c) => c.decodes === decodes).map((c) => c.name);
    expect(named('no').filter((name) => found.has(name))).toEqual([]);
    expect(named('yes').filter((name) => !found.has(name))).toEqual([]);
    expect(peak).toBeLessThan(256e6);
    expect(msMax).toBeLessThan(5_000);
  }, 120_000);

  it('400 pictures with bits turned and bytes moved end no process (T46)', async () => {
    const { n, decoded, peak } = await decodeAll('mutations', await mutations(400, 46), 'one by one');
    expect(n).toBe(400);
    // Neither everything is refused, which would test nothing, nor is everything a picture.
    expect(decoded.length).toBeGreaterThan(20);
    expect(decoded.length).toBeLessThan(380);
    expect(peak).toBeLessThan(256e6);
  }, 120_000);
});
