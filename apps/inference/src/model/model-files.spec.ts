import { createHash } from 'node:crypto';
import { copyFile, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { digestText, type ModelEntry, type ModelManifest } from '#contracts';
import { ModelFilesError, readModelFiles } from './model-files.js';
import { refersToOtherFiles } from './onnx-references.js';

const MODELS = path.join(__dirname, '../../../../models');

/** A protobuf field that holds bytes. */
const field = (number: number, ...parts: Buffer[]): Buffer => {
  const value = Buffer.concat(parts);
  const length: number[] = [];
  for (let n = value.length; ; n >>= 7) {
    length.push(n > 127 ? (n & 127) | 128 : n);
    if (n <= 127) break;
  }
  const key = (number << 3) | 2;
  return Buffer.concat([Buffer.from(key > 127 ? [(key & 127) | 128, key >> 7] : [key]), Buffer.from(length), value]);
};

const entriesOf = ({ models, recognisers }: ModelManifest): ModelEntry[] => [...Object.values(models), ...recognisers];

/** The manifest again, with the digest that its models have. */
function agreeing(manifest: ModelManifest): ModelManifest {
  const digest = createHash('sha256').update(digestText(manifest)).digest('hex');
  return { ...manifest, digest, thresholds: { ...manifest.thresholds, models: digest } };
}

describe('model files (T37)', () => {
  let folder: string;
  let manifest: ModelManifest;
  const file = (name: string): string => path.join(folder, name);
  const read = () => readModelFiles(file('manifest.json'));
  const write = (changed: unknown) => writeFile(file('manifest.json'), JSON.stringify(changed));

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'models-'));
    manifest = JSON.parse(await readFile(path.join(MODELS, 'manifest.json'), 'utf8')) as ModelManifest;
    await write(manifest);
    for (const { file: name } of entriesOf(manifest)) await copyFile(path.join(MODELS, name), file(name));
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** Puts other bytes in place of the detector, with a manifest that agrees. */
  async function replaceDetector(bytes: Buffer): Promise<void> {
    const entry = manifest.models.detector;
    await writeFile(file(entry.file), bytes);
    entry.sha256 = createHash('sha256').update(bytes).digest('hex');
    entry.bytes = bytes.length;
    await write(agreeing(manifest));
  }

  it('are read as the manifest of the repository says', async () => {
    const { bytes, manifest: found } = await read();
    expect(found.digest).toBe(manifest.digest);
    expect(bytes.nets.mesh.length).toBe(manifest.models.mesh.bytes);
    expect(bytes.recognisers).toEqual([
      {
        bytes: expect.objectContaining({ length: manifest.recognisers[0]!.bytes }) as unknown,
        recogniser: {
          side: 112,
          alignment: 'arcface',
          length: 512,
          share: 1,
          format: { layout: 'nchw', colour: 'rgb', scale: 1 / 128, offset: [-127 / 128, -127 / 128, -127 / 128] },
        },
      },
    ]);
  });

  it('are refused when a byte differs', async () => {
    const name = manifest.recognisers[0]!.file;
    const bytes = await readFile(file(name));
    bytes[bytes.length >> 1]! ^= 1;
    await writeFile(file(name), bytes);
    await expect(read()).rejects.toThrow(`${name} has another digest`);
  });

  it('are refused when one is missing, longer or shorter', async () => {
    const name = manifest.models.eye.file;
    const bytes = await readFile(file(name));
    await writeFile(file(name), Buffer.concat([bytes, Buffer.from([0])]));
    await expect(read()).rejects.toThrow('bytes, not');
    await writeFile(file(name), bytes.subarray(1));
    await expect(read()).rejects.toThrow('bytes, not');
    await rm(file(name));
    await expect(read()).rejects.toThrow('cannot be opened');
  });

  it.each(['other.onnx', 'mobilefacenet-112.onnx.data', 'OTHER.ONNX'])('are refused beside %s', async (extra) => {
    await writeFile(file(extra), 'x');
    await expect(read()).rejects.toThrow(`${extra} is not in the manifest`);
  });

  it('are refused when one is a link, even to the right bytes', async () => {
    const name = manifest.models.mesh.file;
    await rename(file(name), file('elsewhere'));
    await symlink(file('elsewhere'), file(name));
    await expect(read()).rejects.toThrow('is a link');
  });

  it.each(['../mesh.onnx', '/etc/mesh.onnx', 'a/mesh.onnx', 'mesh.onnx\0', '.onnx', 'mesh.txt'])(
    'are refused under the name %j',
    async (name) => {
      manifest.models.mesh.file = name;
      await write(manifest);
      await expect(read()).rejects.toThrow('models.mesh.file');
    },
  );

  it('are refused with a manifest that is missing, no JSON, incomplete or of another digest', async () => {
    await write({ ...manifest, digest: '0'.repeat(64) });
    await expect(read()).rejects.toThrow('digest of the manifest');
    const { eye: _, ...others } = manifest.models;
    await write({ ...manifest, models: others });
    await expect(read()).rejects.toThrow('models.eye');
    await write({ ...manifest, thresholds: {} });
    await expect(read()).rejects.toThrow('thresholds.match');
    await writeFile(file('manifest.json'), '{');
    await expect(read()).rejects.toThrow(ModelFilesError);
    await rm(file('manifest.json'));
    await expect(read()).rejects.toThrow(ModelFilesError);
  });

  it('are refused when a tensor lies in another file, wherever in the graph', async () => {
    const external = field(13, field(1, Buffer.from('location')), field(2, Buffer.from('../../secret')));
    const inInitializer = field(7, field(5, external));
    await replaceDetector(inInitializer);
    await expect(read()).rejects.toThrow('keeps data outside');
    const location = Buffer.from([(14 << 3) | 0, 1]);
    for (const graph of [
      field(5, location),
      field(1, field(5, field(5, external))), // a node's attribute
      field(1, field(5, field(6, field(5, external)))), // a graph inside an attribute
      field(15, field(1, external)), // a sparse initializer
    ])
      expect(refersToOtherFiles(field(7, graph))).toBe(true);
    expect(refersToOtherFiles(field(25, field(7, field(5, field(5, external)))))).toBe(true);
    expect(refersToOtherFiles(field(7, field(5, Buffer.from([(14 << 3) | 0, 0]))))).toBe(false);
    expect(refersToOtherFiles(Buffer.from('no protobuf at all'))).toBe(true);
  });

  it('are refused with a link to a folder in the place of theirs', async () => {
    const linked = `${folder}-linked`;
    await symlink(folder, linked);
    await expect(readModelFiles(path.join(linked, 'manifest.json'))).rejects.toThrow('the folder is a link');
    await rm(linked);
  });

  it('are refused when two are swapped, or one is named twice', async () => {
    const [eye, mesh] = [file(manifest.models.eye.file), file(manifest.models.mesh.file)];
    await rename(eye, `${eye}.x`);
    await rename(mesh, eye);
    await rename(`${eye}.x`, mesh);
    await expect(read()).rejects.toThrow('bytes, not');
    manifest.models.eye = { ...manifest.models.eye, file: manifest.models.mesh.file };
    await write(agreeing(manifest));
    await expect(read()).rejects.toThrow('names a file twice');
  });

  it('are refused with an older manifest version, and with thresholds of other models', async () => {
    await write({ ...manifest, manifestVersion: 1 });
    await expect(read()).rejects.toThrow('manifestVersion');
    await write({ ...manifest, thresholds: { ...manifest.thresholds, models: 'a'.repeat(64) } });
    await expect(read()).rejects.toThrow('calibrate');
    const { thresholds: _, ...without } = manifest;
    await write(without);
    await expect(read()).rejects.toThrow('thresholds');
  });

  it('are refused when the pipeline cannot feed them', async () => {
    const larger = structuredClone(manifest);
    larger.models.detector.input.shape = [1, 3, 320, 320];
    await write(agreeing(larger));
    await expect(read()).rejects.toThrow('detector: the input must be 1 × 3 × 256 × 256 RGB');
    const oblong = structuredClone(manifest);
    oblong.recognisers[0]!.input.shape = [1, 3, 112, 96];
    await write(agreeing(oblong));
    await expect(read()).rejects.toThrow('the input must be 1 × 3 × side × side');
    const unknown = structuredClone(manifest) as { recognisers: { alignment: string }[] };
    unknown.recognisers[0]!.alignment = 'by eye';
    await write(unknown);
    await expect(read()).rejects.toThrow('recognisers.0.alignment');
  });
});
