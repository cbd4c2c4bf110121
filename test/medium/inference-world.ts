import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';
import { type INestApplicationContext, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  type Action,
  type AttemptTuple,
  blobKeys,
  type EnrolResult,
  type FaceResultPayload,
  type FaceStepPayload,
  framesAad,
  jobIds,
  type JobPayload,
  type MatchResult,
  type ModelsReport,
  type Purpose,
  type SignedResult,
  SIGNED_AS,
  signedSimilaritySchema,
  similarityAad,
  type StepResult,
} from '#contracts';
import { LoggerModule } from '#observability';
import { BlobStore, JobHandler, JobQueue, QueueModule } from '#queue';
import { openWith, sealingPublicKey, sealTo, signingPublicKey, verifyValue } from '#sealing';
import { anyFreePort } from '#stack';
import { encodeStep, type Frame } from '#testing';

const ROOT = path.join(__dirname, '../..');
export const KEK = randomBytes(32);

const named = (id: string) => ({ id, bytes: randomBytes(32) });
const text = ({ id, bytes }: { id: string; bytes: Buffer }): string => `${id}:${bytes.toString('base64url')}`;
const [frames, signing, similarity] = [named('f1'), named('r1'), named('s1')];
/** The gateway's half of the keys. */
const GATEWAY = {
  frames: { id: frames.id, bytes: sealingPublicKey(frames.bytes) },
  results: { id: signing.id, bytes: signingPublicKey(signing.bytes) },
};
/** The worker's half. */
export const WORKER_ENV = {
  TEMPLATE_KEK: KEK.toString('base64url'),
  EVIDENCE_KEY: text(named('e1')),
  FRAME_PRIVATE_KEYS: text(frames),
  RESULT_PRIVATE_KEY: text(signing),
  SIMILARITY_PUBLIC_KEY: text({ id: similarity.id, bytes: sealingPublicKey(similarity.bytes) }),
};

/** The inference process as it is deployed: the built program, on a port of its own. */
export class InferenceProcess {
  output = '';
  private constructor(
    readonly child: ChildProcess,
    readonly port: number,
  ) {
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (text: Buffer) => (this.output += text.toString()));
  }

  static async start(redisUrl: string, extra: Record<string, string> = {}): Promise<InferenceProcess> {
    const port = await anyFreePort();
    const child = spawn(process.execPath, [path.join(ROOT, 'dist/apps/inference/src/main.js')], {
      cwd: ROOT,
      env: {
        PATH: process.env.PATH,
        REDIS_URL: redisUrl,
        INFERENCE_THREADS: '2',
        HEALTH_PORT: String(port),
        ...WORKER_ENV,
        LOG_LEVEL: 'debug',
        ...extra,
      },
    });
    return new InferenceProcess(child, port);
  }

  async status(page: 'live' | 'ready'): Promise<number | null> {
    try {
      return (await fetch(`http://127.0.0.1:${this.port}/health/${page}`)).status;
    } catch {
      return null;
    }
  }

  async ready(): Promise<this> {
    await until(async () => {
      if (this.child.exitCode !== null || this.child.signalCode !== null)
        throw new Error(`inference ended: ${this.output}`);
      return (await this.status('ready')) === 200;
    }, 30_000);
    return this;
  }

  /** Exit code, or the signal it died of. */
  async end(signal: NodeJS.Signals): Promise<number | string> {
    if (this.child.exitCode !== null || this.child.signalCode !== null)
      return this.child.exitCode ?? this.child.signalCode ?? 'unknown';
    const exit = once(this.child, 'exit');
    this.child.kill(signal);
    const [code, by] = (await exit) as [number | null, string | null];
    return code ?? by ?? 'unknown';
  }
}

const results: FaceResultPayload[] = [];
const reports: ModelsReport[] = [];

@Injectable()
class Results {
  @JobHandler('face.result')
  async take({ result, ...signature }: SignedResult): Promise<void> {
    if (verifyValue([GATEWAY.results], SIGNED_AS.result, result, signature) === 'genuine') results.push(result);
  }

  @JobHandler('worker.models')
  async report({ value, ...signature }: JobPayload<'worker.models'>): Promise<void> {
    if (verifyValue([GATEWAY.results], SIGNED_AS.models, value, signature) === 'genuine') reports.push(value);
  }
}

/** The gateway's side of the queues, with real Redis: what it would send, and what comes back. */
export class Sender {
  private constructor(private readonly app: INestApplicationContext) {}

  static async start(redisUrl: string): Promise<Sender> {
    @Module({
      imports: [
        LoggerModule.forRoot({ name: 'test', level: 'error', destination: { write: () => undefined } }),
        QueueModule.forRoot({
          redisUrl,
          blobUrl: redisUrl,
          consumes: ['face.result', 'worker.models'],
          concurrency: 4,
        }),
      ],
      providers: [Results],
    })
    class App {}
    return new Sender(await NestFactory.createApplicationContext(App, { logger: false, abortOnError: false }));
  }

  get queue(): JobQueue {
    return this.app.get(JobQueue);
  }
  get blobs(): BlobStore {
    return this.app.get(BlobStore);
  }
  close(): Promise<void> {
    return this.app.close();
  }

  async waitFor<R extends FaceResultPayload>(test: (r: FaceResultPayload) => r is R, withinMs = 30_000): Promise<R> {
    let found: R | undefined;
    await until(() => Promise.resolve((found = results.find(test)) !== undefined), withinMs);
    return found!;
  }
  /** What workers have said of their models. */
  get reports(): readonly ModelsReport[] {
    return reports;
  }
  resultsOf = (attemptId: string): FaceResultPayload[] => results.filter((r) => r.attemptId === attemptId);
}

/** One attempt as the gateway would run it: frames in, step jobs, the decision. */
export class Attempt {
  readonly tuple: AttemptTuple;
  readonly inputs: Pick<FaceStepPayload, 'step' | 'action' | 'framesDigest'>[] = [];

  constructor(
    private readonly sender: Sender,
    purpose: Purpose = 'verify',
    userId: string = randomUUID(),
  ) {
    const challengeId = randomBytes(16).toString('hex');
    this.tuple = { attemptId: randomUUID(), userId, challengeId, purpose, lockEpoch: 3, run: 0 };
  }

  get id(): string {
    return this.tuple.attemptId;
  }

  payload(step: number): FaceStepPayload {
    return { ...this.tuple, ...this.inputs[step - 1]! };
  }

  /** Puts the frames of the next step and its job. */
  async send(action: Action, frames: Frame[]): Promise<number> {
    const body = encodeStep(frames);
    const step = this.inputs.length + 1;
    const framesDigest = createHash('sha256').update(body).digest('hex');
    this.inputs.push({ step, action, framesDigest });
    await this.putFrames(step, framesDigest, body);
    await this.enqueueStep(step);
    return step;
  }

  /** Sealed to the workers for this step. */
  async putFrames(step: number, framesDigest: string, body: Buffer): Promise<void> {
    const sealed = sealTo(GATEWAY.frames, framesAad({ attemptId: this.id, step, framesDigest }), body);
    await this.sender.blobs.put(blobKeys.frames(this.id, step, framesDigest), sealed, 120);
  }

  async enqueueStep(step: number, run = 0): Promise<void> {
    await this.sender.queue.enqueue('face.step', { ...this.payload(step), run }, jobIds.step({ ...this.tuple, step, run })); // prettier-ignore
  }

  stepResult(step: number, run = 0): Promise<StepResult> {
    return this.sender.waitFor(
      (r): r is StepResult => r.kind === 'step' && r.attemptId === this.id && r.step === step && r.run === run,
    );
  }

  async verdicts(): Promise<string[]> {
    const all = await Promise.all(this.inputs.map(({ step }) => this.stepResult(step)));
    return all.map(({ verdict }) => (verdict.kind === 'quality' ? verdict.code : verdict.kind));
  }

  async enrol(templateId: string = randomUUID()): Promise<EnrolResult> {
    await this.sender.queue.enqueue('face.enrol', { ...this.tuple, inputs: this.inputs, templateId }, jobIds.decide(this.tuple)); // prettier-ignore
    return this.sender.waitFor((r): r is EnrolResult => r.kind === 'enrol' && r.attemptId === this.id);
  }

  async match(template?: { templateId: string; templateDigest: string }, withinMs?: number): Promise<MatchResult> {
    const payload = { ...this.tuple, inputs: this.inputs, ...template };
    await this.sender.queue.enqueue('face.match', payload, jobIds.decide(this.tuple));
    return this.sender.waitFor((r): r is MatchResult => r.kind === 'match' && r.attemptId === this.id, withinMs);
  }

  async similarity(): Promise<number | null> {
    const blob = await this.sender.blobs.get(blobKeys.similarity(this.id, 0));
    if (!blob) return null;
    const plain = openWith([similarity], similarityAad({ attemptId: this.id, run: 0 }), blob);
    const { value, ...signature } = signedSimilaritySchema.parse(JSON.parse(plain.toString()));
    expect(verifyValue([GATEWAY.results], SIGNED_AS.similarity, value, signature)).toBe('genuine');
    return value.similarity;
  }
}

export async function until(done: () => Promise<boolean>, withinMs: number): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await done())) {
    if (performance.now() > end) throw new Error('did not happen in time');
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
