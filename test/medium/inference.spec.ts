import { randomUUID } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import {
  type Action,
  blobKeys,
  manifestSchema,
  type SealedTemplate,
  signedTemplateSchema,
  templateIdentity,
} from '#contracts';
import { valueDigest } from '#sealing';
import { type Frame, Media, RecordedPerson, StillPhoto } from '#testing';
import { ownRedisUrl } from '../redis-database.js';
import { Attempt, InferenceProcess, KEK, Sender, until } from './inference-world.js';

const ROOT = path.join(__dirname, '../..');
const media = new Media(path.join(ROOT, 'test/media'));
const franck = new RecordedPerson(media, 'franck', 7);
const cap = new RecordedPerson(media, 'cap', 7);

describe('inference (the built process, real models, real footage, real Redis)', () => {
  let redisUrl: string;
  let redis: Redis;
  let inference: InferenceProcess;
  let sender: Sender;

  beforeAll(async () => {
    redisUrl = await ownRedisUrl();
    redis = new Redis(redisUrl);
    inference = await (await InferenceProcess.start(redisUrl)).ready();
    sender = await Sender.start(redisUrl);
  }, 60_000);
  afterAll(async () => {
    await inference.end('SIGTERM');
    await sender.close();
    redis.disconnect();
  });

  const capture = async (
    attempt: Attempt,
    actions: readonly Action[],
    who: { perform(action: Action): Promise<Frame[]> } = franck,
  ): Promise<Attempt> => {
    for (const action of actions) await attempt.send(action, await who.perform(action));
    return attempt;
  };

  /** A template of franck's, as the gateway would have stored it. */
  const userId = randomUUID();
  let templateId: string;
  let template: SealedTemplate;
  const its = () => ({ templateId, templateDigest: valueDigest(templateIdentity(template)) });
  const putTemplate = (attempt: Attempt, row: object) =>
    sender.blobs.put(blobKeys.template(attempt.id), Buffer.from(JSON.stringify(row)), 120);
  const withTemplate = async (attempt: Attempt): Promise<Attempt> => {
    await putTemplate(attempt, template);
    return attempt;
  };

  beforeAll(async () => {
    const attempt = await capture(new Attempt(sender, 'enrol', userId), ['blink', 'turn_left', 'smile']);
    expect(await attempt.verdicts()).toEqual(['done', 'done', 'done']);
    const result = await attempt.enrol();
    expect(result).toMatchObject({ ...attempt.tuple, judgement: 'ok', stalledTwice: false, inputs: attempt.inputs });
    templateId = result.templateId;
    const blob = (await sender.blobs.get(blobKeys.newTemplate(attempt.id, 0)))!;
    const { value } = signedTemplateSchema.parse(JSON.parse(blob.toString()));
    expect(value).toMatchObject({ attemptId: attempt.id, run: 0, template: { userId, templateId } });
    template = value.template;
  }, 60_000);

  it('the same person is verified, and the similarity travels in a blob of its own', async () => {
    const attempt = await withTemplate(await capture(new Attempt(sender, 'verify', userId), ['turn_right', 'blink', 'smile'])); // prettier-ignore
    expect(await attempt.verdicts()).toEqual(['done', 'done', 'done']);
    const result = await attempt.match(its());
    expect(result).toEqual({
      ...attempt.tuple,
      kind: 'match',
      inputs: attempt.inputs,
      ...its(),
      judgement: 'ok',
      stalledTwice: false,
      modelDigest: result.modelDigest,
      thresholdId: expect.stringContaining('mbf') as string,
    });
    expect(await attempt.similarity()).toBeGreaterThan(0.475);
  });

  it('another person does everything and does not match', async () => {
    const attempt = await withTemplate(await capture(new Attempt(sender, 'verify', userId), ['blink', 'turn_right', 'turn_left'], cap)); // prettier-ignore
    expect(await attempt.verdicts()).toEqual(['done', 'done', 'done']);
    expect((await attempt.match(its())).judgement).toBe('mismatch');
    expect(await attempt.similarity()).toBeLessThan(0.475);
  });

  it('a stranger in one step is found', async () => {
    const attempt = await withTemplate(await capture(new Attempt(sender, 'verify', userId), ['blink', 'smile']));
    await capture(attempt, ['turn_right'], cap);
    expect(await attempt.verdicts()).toEqual(['done', 'done', 'done']);
    expect((await attempt.match(its())).judgement).toBe('not_one_person');
  });

  it('a still photo fails every gesture and enrols nobody', async () => {
    const photo = new StillPhoto(media, 'franck', 3);
    const attempt = new Attempt(sender, 'enrol', userId);
    await capture(attempt, ['blink', 'turn_left', 'smile'], photo);
    expect(await attempt.verdicts()).toEqual(['no_action', 'no_action', 'no_action']);
    expect((await attempt.enrol()).judgement).toBe('not_compared');
    expect(await sender.blobs.exists(blobKeys.newTemplate(attempt.id, 0))).toBe(false);
  });

  it('poor quality in one step: nothing compared, no similarity', async () => {
    const attempt = await withTemplate(await capture(new Attempt(sender, 'verify', userId), ['blink', 'smile']));
    const frames = await franck.perform('turn_right');
    await attempt.send('turn_right', frames.slice(0, 5));
    expect(await attempt.verdicts()).toEqual(['done', 'done', 'too_few_frames']);
    expect((await attempt.match(its())).judgement).toBe('not_compared');
    expect(await attempt.similarity()).toBeNull();
  });

  it('pictures that do not decode are unreadable, and the process lives', async () => {
    const attempt = new Attempt(sender);
    const frames = await franck.perform('blink');
    const odd = [Buffer.from('GIF89a'), Buffer.from('<svg/>'), Buffer.alloc(3), frames[0]!.jpeg.subarray(0, 900)];
    await attempt.send('blink', frames.map(({ tMs }, i) => ({ tMs, jpeg: odd[i % odd.length]! }))); // prettier-ignore
    expect(await attempt.verdicts()).toEqual(['unreadable']);
    expect(inference.child.exitCode).toBeNull();
  });

  it('practice compares nothing, even with evidence at hand', async () => {
    const attempt = await capture(new Attempt(sender, 'practice', userId), ['blink']);
    expect(await attempt.verdicts()).toEqual(['done']);
    const result = await attempt.match();
    expect(result.judgement).toBe('not_compared');
    expect(result.templateId).toBeUndefined();
    expect(await attempt.similarity()).toBeNull();
  });

  it('a step that comes again is answered from its evidence, when the frames are gone', async () => {
    const attempt = await capture(new Attempt(sender), ['smile']);
    const first = await attempt.stepResult(1);
    const frames = blobKeys.frames(attempt.id, 1, attempt.inputs[0]!.framesDigest);
    await until(async () => !(await sender.blobs.exists(frames)), 5_000);
    await attempt.enqueueStep(1, 1);
    const again = await attempt.stepResult(1, 1);
    expect(again.verdict).toEqual(first.verdict);
  });

  it('frames that are missing, or not those of the digest, give no verdict: the attempt is told that its job was given up, or refused', async () => {
    const attempt = await capture(new Attempt(sender), ['blink']);
    await attempt.stepResult(1);
    attempt.inputs.push({ step: 2, action: 'smile', framesDigest: 'a'.repeat(64) });
    await attempt.enqueueStep(2);
    attempt.inputs.push({ step: 3, action: 'smile', framesDigest: 'b'.repeat(64) });
    await attempt.putFrames(3, 'b'.repeat(64), Buffer.from('something else'));
    await attempt.enqueueStep(3);
    await until(async () => (await sender.queue.depth('face')) === 0, 10_000);
    await until(() => Promise.resolve(sender.resultsOf(attempt.id).length === 3), 5_000);
    const [, ...others] = sender.resultsOf(attempt.id);
    expect(others).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ kind: 'unjudged', reason: 'worker_failed' }),
        expect.objectContaining({ kind: 'refused_input', input: 'frames' }),
      ]),
    );
  });

  it('a template of somebody else, or moved to another row, is not opened', async () => {
    const stranger = await withTemplate(await capture(new Attempt(sender, 'verify', randomUUID()), ['blink']));
    await stranger.stepResult(1);
    await expect(stranger.match(its(), 2_000)).rejects.toThrow('in time');
    const moved = await capture(new Attempt(sender, 'verify', userId), ['blink']);
    const other = randomUUID();
    const row = { ...template, templateId: other };
    await putTemplate(moved, row);
    await moved.stepResult(1);
    await expect(
      moved.match({ templateId: other, templateDigest: valueDigest(templateIdentity(row)) }, 3_000),
    ).rejects.toThrow('in time');
  });

  it('a step whose attempt is cancelled meanwhile is given up in work, and the next one is done', async () => {
    const [first, then] = [await franck.perform('blink'), await franck.perform('smile')];
    const later = first.at(-1)!.tMs + 40;
    const attempt = new Attempt(sender);
    // A job is `active` before its worker has read the frames; without frames there is nothing to give up.
    const reads: string[] = [];
    const monitor = await redis.monitor();
    monitor.on('monitor', (_time: string, [command, key]: string[]) => {
      if (command?.toLowerCase() === 'get' && key) reads.push(key);
    });
    await attempt.send('blink', [...first, ...then.map(({ tMs, jpeg }) => ({ tMs: tMs + later, jpeg }))]);
    const frames = blobKeys.frames(attempt.id, 1, attempt.inputs[0]!.framesDigest);
    await until(async () => reads.some((key) => key.endsWith(frames)), 5_000);
    monitor.disconnect();
    await sender.blobs.delete(frames);
    await until(async () => (await sender.queue.depth('face')) === 0, 10_000);
    expect(sender.resultsOf(attempt.id)).toEqual([]);
    expect(inference.output).not.toContain(`"attemptId":"${attempt.id}","step":1,"frames"`);
    expect(await (await capture(new Attempt(sender), ['smile'])).verdicts()).toEqual(['done']);
  });

  it('13.2: a worker that is held up judges a step as one that is not; how long it took is logged and decides nothing', async () => {
    const frames = await franck.perform('smile');
    /** What was logged of the attempt's only step. */
    const msOf = (attempt: Attempt): number => {
      const line = inference.output
        .split('\n')
        .find((text) => text.includes(attempt.id) && text.includes('step analysed'));
      return (JSON.parse(line ?? '{}') as { ms: number }).ms;
    };
    const quick = new Attempt(sender);
    await quick.send('smile', frames);
    const expected = await quick.stepResult(1);
    expect(expected.verdict).toEqual({ kind: 'done' });

    const slow = new Attempt(sender);
    let isOver = false;
    // Shorter than its lock on the job lasts: it is slow, not lost.
    const holdUp = async (): Promise<void> => {
      for (let i = 0; i < 4 && !isOver; i++) {
        inference.child.kill('SIGSTOP');
        await sleep(1_000);
        inference.child.kill('SIGCONT');
        await sleep(60);
      }
    };
    await slow.send('smile', frames);
    const held = holdUp();
    const result = await slow.stepResult(1).finally(() => (isOver = true));
    await held;
    expect(result.verdict).toEqual(expected.verdict);
    // Nothing else was said of it: no `unjudged`, no second verdict.
    expect(sender.resultsOf(slow.id).map(({ kind }) => kind)).toEqual(['step']);
    await until(() => Promise.resolve(msOf(slow) > 0), 5_000);
    expect(msOf(slow)).toBeGreaterThan(msOf(quick) + 500);
  }, 120_000);

  it('a worker that is killed during a step costs nothing: another one does it', async () => {
    const attempt = await capture(new Attempt(sender), ['turn_right']);
    await until(async () => (await redis.llen('bull:face:active')) === 1, 5_000);
    expect(await inference.end('SIGKILL')).toBe('SIGKILL');
    expect(sender.resultsOf(attempt.id)).toEqual([]);
    inference = await (await InferenceProcess.start(redisUrl)).ready();
    expect(await attempt.verdicts()).toEqual(['done']);
  }, 60_000);

  it('SIGTERM lets a running step end and then ends well', async () => {
    const attempt = await capture(new Attempt(sender), ['blink']);
    await until(async () => (await redis.llen('bull:face:active')) === 1, 5_000);
    expect(await inference.end('SIGTERM')).toBe(0);
    expect(await attempt.verdicts()).toEqual(['done']);
    inference = await (await InferenceProcess.start(redisUrl)).ready();
  }, 60_000);

  it('is alive before it is ready, and ready only with all models warm and Redis there', async () => {
    expect(await inference.status('live')).toBe(200);
    expect(await inference.status('ready')).toBe(200);
    expect(inference.output).toContain('models loaded');
  });

  it('does not start with models that are not those of the manifest, nor with a bad configuration', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'models-'));
    await cp(path.join(ROOT, 'models'), folder, { recursive: true });
    const file = path.join(folder, 'eye-state-24.onnx');
    const bytes = await readFile(file);
    bytes[1000]! ^= 1;
    await writeFile(file, bytes);
    const started = await Promise.all([
      InferenceProcess.start(redisUrl, { MODEL_MANIFEST: path.join(folder, 'manifest.json') }),
      InferenceProcess.start(redisUrl, { TEMPLATE_KEK: 'canary-key' }),
    ]);
    await until(async () => started.every(({ child }) => child.exitCode !== null), 30_000);
    expect(started.map(({ child }) => child.exitCode)).toEqual([1, 1]);
    expect(started[0].output).toContain('eye-state-24.onnx has another digest');
    expect(started[1].output).toContain('TEMPLATE_KEK');
    expect(started[1].output).not.toContain('canary');
    // T37: the audit trail is told about both, the models that decide and those that were refused.
    await until(async () => sender.reports.some(({ outcome }) => outcome === 'refused'), 5_000);
    const manifest = manifestSchema.parse(JSON.parse(await readFile(path.join(ROOT, 'models/manifest.json'), 'utf8')));
    expect(sender.reports.filter(({ outcome }) => outcome === 'loaded')[0]?.modelDigest).toBe(manifest.digest);
    await rm(folder, { recursive: true });
  }, 60_000);

  it('leaves no key, no similarity and no embedding in its log', async () => {
    expect(inference.output).not.toContain(KEK.toString('base64url'));
    expect(inference.output).not.toMatch(/similarity|embedding|ciphertext/i);
  });
});
