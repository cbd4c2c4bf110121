import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { digestText, manifestSchema, MODEL_ROLES } from '#contracts';
import { SHIPPED } from './catalogue.js';
import { decodeModel, graphOf, type Tensor } from './graph.js';
import { integrityOf, loadPackage } from './npm-package.js';
import { repositoryRoot } from './repository-root.js';
import { readTarball } from './tar.js';

const FOLDER = join(repositoryRoot(), 'models');

const written: unknown = JSON.parse(readFileSync(join(FOLDER, 'manifest.json'), 'utf8'));
const manifest = manifestSchema.parse(written);
const { recognisers, models } = written as Record<'recognisers' | 'models', object>;
const integrities = JSON.stringify([recognisers, models]);
const ENTRIES = [...SHIPPED.models, ...SHIPPED.recognisers];
const digestOf = (of: Parameters<typeof digestText>[0]): string =>
  createHash('sha256').update(digestText(of)).digest('hex');

describe('the committed models', () => {
  it('are the files the manifest names, and no others', () => {
    const all = [...Object.values(manifest.models), ...manifest.recognisers];
    const named = all.map((model) => model.file);
    expect(readdirSync(FOLDER).sort()).toEqual([...named, 'LICENSES.md', 'manifest.json'].sort());
    for (const { file, sha256, bytes } of all) {
      const content = readFileSync(join(FOLDER, file));
      expect(content.length).toBe(bytes);
      expect(createHash('sha256').update(content).digest('hex')).toBe(sha256);
    }
  });

  it('carry one digest for the whole set, which all that decides an embedding changes', () => {
    expect(digestOf(manifest)).toBe(manifest.digest);
    expect(manifest.thresholds.models).toBe(manifest.digest);
    const [recogniser] = manifest.recognisers;
    const others = [
      { ...recogniser!, weight: 2 },
      { ...recogniser!, alignment: 'dlib' as const },
      { ...recogniser!, input: { ...recogniser!.input, scale: 1 / 127.5 } },
      { ...recogniser!, sha256: '0'.repeat(64) },
    ].map((changed) => digestOf({ ...manifest, recognisers: [changed] }));
    expect(new Set([manifest.digest, ...others]).size).toBe(5);
  });

  it('cover every role once, from the packages that are pinned', () => {
    expect(SHIPPED.models.map((entry) => entry.role).sort()).toEqual([...MODEL_ROLES].sort());
    for (const entry of ENTRIES) expect(integrities).toContain(entry.source.integrity);
  });

  it.each(ENTRIES)('$role: has the inputs and outputs it declares, and keeps its weights inside', (entry) => {
    const graph = graphOf(decodeModel(readFileSync(join(FOLDER, entry.file))));
    expect(graph.input.map((info) => info.name)).toEqual([entry.input.name]);
    expect(graph.output.map((info) => info.name)).toEqual(entry.outputs.map((output) => output.name));
    expect(graph.initializer.filter((tensor: Tensor) => tensor.externalData?.length)).toEqual([]);
  });
});

describe('an npm archive', () => {
  const entry = (path: string, body: string, type = '0'): Buffer => {
    const header = Buffer.alloc(512);
    header.write(path, 0);
    header.write(body.length.toString(8).padStart(11, '0'), 124);
    header.write(type, 156);
    return Buffer.concat([header, Buffer.from(body.padEnd(512, '\0'))]);
  };

  it('gives its files without the folder npm puts around them, long names included', () => {
    const long = `package/${'x'.repeat(120)}.bin`;
    const pax = `${String(long.length + 10)} path=${long}\n`;
    const tar = Buffer.concat([
      entry('package/a.txt', 'one'),
      entry('ignored', pax, 'x'),
      entry('short', 'two'),
      entry('package/folder', '', '5'),
      Buffer.alloc(1024),
    ]);
    const files = readTarball(gzipSync(tar));
    expect([...files].map(([path, body]) => [path, body.toString()])).toEqual([
      ['a.txt', 'one'],
      [`${'x'.repeat(120)}.bin`, 'two'],
    ]);
  });

  it('that is cut short is an error, not a shorter file', () => {
    expect(() => readTarball(gzipSync(entry('package/a.txt', 'one').subarray(0, 512)))).toThrow('damaged');
  });

  it('case 17: is kept where COUNTERSIGN_CACHE_DIR says, whether or not the user has a home', async () => {
    const [dir, before] = [mkdtempSync(join(tmpdir(), 'cache-')), { ...process.env }];
    const tarball = gzipSync(Buffer.concat([entry('package/a.txt', 'one'), Buffer.alloc(1024)]));
    mkdirSync(join(dir, 'npm'));
    writeFileSync(join(dir, 'npm', 'countersign-none-1.0.0.tgz'), tarball);
    // User nobody, whom root lends servers to, has to be able to read it.
    chmodSync(dir, 0o755);
    process.env['COUNTERSIGN_CACHE_DIR'] = dir;
    try {
      const pinned = {
        name: '@countersign/none',
        version: '1.0.0',
        integrity: integrityOf(tarball) as `sha512-${string}`,
      };
      const files = await loadPackage(pinned, (line) => expect(line).toBe('nothing is fetched'));
      expect([...files.keys()]).toEqual(['a.txt']);
    } finally {
      process.env = before;
      rmSync(dir, { recursive: true });
    }
  });

  it('is compared by the hash npm itself uses', () => {
    expect(integrityOf(Buffer.from('abc'))).toBe(
      'sha512-3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==',
    );
  });
});
