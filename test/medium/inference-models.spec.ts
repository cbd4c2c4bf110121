import { createHash, randomUUID } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  type Action,
  blobKeys,
  digestText,
  type ModelManifest,
  type SealedTemplate,
  signedTemplateSchema,
  templateIdentity,
} from '#contracts';
import { valueDigest } from '#sealing';
import { Media, RecordedPerson } from '#testing';
import {
  decodeModel,
  encodeModel,
  floatTensor,
  graphOf,
  int64Tensor,
  node,
  valueInfo,
} from '../../tools/models/graph.js';
import { ownRedisUrl } from '../redis-database.js';
import { Attempt, InferenceProcess, Sender, until } from './inference-world.js';

const ROOT = path.join(__dirname, '../..');
const media = new Media(path.join(ROOT, 'test/media'));
const franck = new RecordedPerson(media, 'franck', 11);
const cap = new RecordedPerson(media, 'cap', 11);
const ID = 'own-set/template-3x3/test';

/**
 * An operator's recogniser: it takes pixels as they are (its graph normalises them), and answers 256 numbers. Beside it
 * the shipped one, with a third of its weight.
 */
async function ownSet(folder: string): Promise<ModelManifest> {
  const shipped = path.join(ROOT, 'models');
  await cp(shipped, folder, { recursive: true });
  const manifest = JSON.parse(await readFile(path.join(shipped, 'manifest.json'), 'utf8')) as ModelManifest;
  const [known] = manifest.recognisers;
  const model = decodeModel(await readFile(path.join(shipped, known!.file)));
  const graph = graphOf(model);
  for (const step of graph.node) {
    step.input = step.input?.map((name) => (name === 'input' ? 'normalised' : name));
    step.output = step.output?.map((name) => (name === 'embedding' ? 'whole' : name));
  }
  graph.initializer.push(
    floatTensor('mean', [1], [127]),
    floatTensor('scale', [1], [1 / 128]),
    int64Tensor(
      'odd',
      Array.from({ length: 256 }, (_, i) => 2 * i + 1),
    ),
  );
  graph.node.unshift(node('Sub', ['input', 'mean'], 'centred'), node('Mul', ['centred', 'scale'], 'normalised'));
  graph.node.push(node('Gather', ['whole', 'odd'], 'embedding', { axis: 1 }));
  graph.output = [valueInfo('embedding', [1, 256])];
  const bytes = Buffer.from(encodeModel(model));
  await writeFile(path.join(folder, 'own.onnx'), bytes);
  const own = {
    ...known!,
    file: 'own.onnx',
    sha256: createHash('sha256').update(bytes).digest('hex'),
    bytes: bytes.length,
    weight: 3,
    input: { ...known!.input, mean: [0, 0, 0], scale: 1 },
    outputs: [{ name: 'embedding' as const, shape: [1, 256] as [1, number] }] as [
      { name: 'embedding'; shape: [1, number] },
    ],
  };
  const recognisers = [known!, own];
  const digest = createHash('sha256')
    .update(digestText({ models: manifest.models, recognisers }))
    .digest('hex');
  const { match, onePerson } = manifest.thresholds;
  const written = {
    ...manifest,
    digest,
    recognisers,
    thresholds: { models: digest, match: { ...match, id: ID }, onePerson },
  };
  await writeFile(path.join(folder, 'manifest.json'), JSON.stringify(written));
  return written;
}

describe('an operator’s own recognisers (MODEL_MANIFEST, the built process, real footage)', () => {
  let redisUrl: string;
  let folder: string;
  let manifest: ModelManifest;
  let inference: InferenceProcess;
  let sender: Sender;

  beforeAll(async () => {
    redisUrl = await ownRedisUrl();
    folder = await mkdtemp(path.join(tmpdir(), 'own-models-'));
    manifest = await ownSet(folder);
    inference = await InferenceProcess.start(redisUrl, {
      MODEL_MANIFEST: path.join(folder, 'manifest.json'),
      INFERENCE_THREADS: '1',
    });
    await inference.ready();
    sender = await Sender.start(redisUrl);
  }, 120_000);
  afterAll(async () => {
    await inference.end('SIGTERM');
    await sender.close();
    await rm(folder, { recursive: true });
  });

  const capture = async (attempt: Attempt, who: RecordedPerson, actions: readonly Action[]): Promise<Attempt> => {
    for (const action of actions) await attempt.stepResult(await attempt.send(action, await who.perform(action)));
    return attempt;
  };

  /** No result: the guard answers `re_enrolment_required` long before; a worker does not rely on it. */
  async function expectRefused(userId: string, template: SealedTemplate): Promise<void> {
    const attempt = await capture(new Attempt(sender, 'verify', userId), franck, ['smile']);
    await sender.blobs.put(blobKeys.template(attempt.id), Buffer.from(JSON.stringify(template)), 120);
    const its = { templateId: template.templateId, templateDigest: valueDigest(templateIdentity(template)) };
    await expect(attempt.match(its, 1_500)).rejects.toThrow('in time');
    await until(() => Promise.resolve(inference.output.includes('PermanentError')), 10_000);
  }

  it('enrol and verify a person, refuse another and a template of other models, and sign with the id of their threshold', async () => {
    const userId = randomUUID();
    const enrolment = await capture(new Attempt(sender, 'enrol', userId), franck, ['blink', 'turn_left', 'smile']);
    const { templateId, judgement, modelDigest } = await enrolment.enrol();
    expect({ judgement, modelDigest }).toEqual({ judgement: 'ok', modelDigest: manifest.digest });
    const blob = (await sender.blobs.get(blobKeys.newTemplate(enrolment.id, 0)))!;
    const { template } = signedTemplateSchema.parse(JSON.parse(blob.toString())).value;
    const its = { templateId, templateDigest: valueDigest(templateIdentity(template)) };
    const compared = async (who: RecordedPerson, actions: Action[]) => {
      const attempt = await capture(new Attempt(sender, 'verify', userId), who, actions);
      await sender.blobs.put(blobKeys.template(attempt.id), Buffer.from(JSON.stringify(template)), 120);
      const result = await attempt.match(its);
      expect(result).toMatchObject({ modelDigest: manifest.digest, thresholdId: ID });
      return { judgement: result.judgement, similarity: await attempt.similarity() };
    };
    const same = await compared(franck, ['turn_right', 'blink', 'smile']);
    expect(same.judgement).toBe('ok');
    expect(same.similarity).toBeGreaterThan(0.6);
    const older = { ...template, modelDigest: 'a'.repeat(64) };
    await expectRefused(userId, older);
    const other = await compared(cap, ['blink', 'turn_right', 'turn_left']);
    expect(other.judgement).toBe('mismatch');
    expect(other.similarity).toBeLessThan(0.3);
  }, 120_000);

  it('stay those that were verified when a file changes after the start, and end the next one (T37)', async () => {
    const file = path.join(folder, 'own.onnx');
    const bytes = await readFile(file);
    bytes[bytes.length >> 1]! ^= 1;
    await writeFile(file, bytes);
    expect(await inference.status('ready')).toBe(200);
    const attempt = await capture(new Attempt(sender), franck, ['smile']);
    expect(await attempt.stepResult(1)).toMatchObject({ modelDigest: manifest.digest, verdict: { kind: 'done' } });
    const again = await refusedStart('manifest.json');
    expect(again.output).toContain('own.onnx has another digest');
    bytes[bytes.length >> 1]! ^= 1;
    await writeFile(file, bytes);
  }, 120_000);

  /** A process that ends with 1 and never was ready. */
  async function refusedStart(name: string): Promise<InferenceProcess> {
    const started = await InferenceProcess.start(redisUrl, { MODEL_MANIFEST: path.join(folder, name) });
    const seen = new Set<number | null>();
    await until(async () => {
      seen.add(await started.status('ready'));
      return started.child.exitCode !== null;
    }, 60_000);
    expect(started.child.exitCode).toBe(1);
    expect(seen).not.toContain(200);
    return started;
  }

  it('end the start when their answer is not what the manifest says', async () => {
    const wrong = structuredClone(manifest);
    wrong.recognisers[1]!.outputs[0].shape = [1, 512];
    await writeFile(path.join(folder, 'wrong.json'), JSON.stringify(wrong));
    await refusedStart('wrong.json');
  }, 120_000);
});
