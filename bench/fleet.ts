import { createHash, randomBytes, randomUUID } from 'node:crypto';
import path from 'node:path';
import { type INestApplicationContext, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { blobKeys, type FaceStepPayload, framesAad, jobIds, type SignedResult, SIGNED_AS } from '#contracts';
import { LoggerModule } from '#observability';
import { BlobStore, JobHandler, JobQueue, QueueModule } from '#queue';
import { sealingPublicKey, sealTo, signingPublicKey, verifyValue } from '#sealing';
import { repositoryRoot } from '#stack';
import { encodeStep, peakMemoryBytes } from '#testing';
import { ManagedProcess } from '../tools/stack/src/process.js';
import { anyFreePort } from '../tools/stack/src/ports.js';
import { WORKER_LAUNCH } from '../tools/stack/src/worker-launch.js';
import type { Take } from './footage.js';
import { bound } from './machine.js';

const BLOB_SECONDS = 600;

const named = (id: string) => ({ id, bytes: randomBytes(32) });
const text = ({ id, bytes }: { id: string; bytes: Buffer }): string => `${id}:${bytes.toString('base64url')}`;
const keys = { frames: named('f1'), results: named('r1'), similarity: named('s1') };
const toWorkers = { id: keys.frames.id, bytes: sealingPublicKey(keys.frames.bytes) };
const ofWorkers = { id: keys.results.id, bytes: signingPublicKey(keys.results.bytes) };

/** Workers as deployed, on a Redis database of their own, and the gateway's half of the queues. */
export class Fleet {
  private constructor(
    private readonly workers: readonly ManagedProcess[],
    private readonly sender: Sender,
  ) {}

  /** One worker for each set of cores; it takes as many threads as it has cores. */
  static async start(redisUrl: string, cores: readonly (readonly number[] | null)[], threads: number): Promise<Fleet> {
    const workers: ManagedProcess[] = [];
    try {
      for (const own of cores) workers.push(await startWorker(redisUrl, own, threads));
      return new Fleet(workers, await Sender.start(redisUrl));
    } catch (error) {
      await Promise.all(workers.map((worker) => worker.stop()));
      throw error;
    }
  }

  /** Frames a second from the first job's `add` to the last result; the sealed bodies lie in Redis before that. */
  async framesPerSecond(takes: readonly Take[], steps: number): Promise<number> {
    const jobs: FaceStepPayload[] = [];
    let frames = 0;
    for (let i = 0; i < steps; i++) {
      const take = takes[i % takes.length]!;
      jobs.push(await this.sender.put(take));
      frames += take.frames.length;
    }
    const from = performance.now();
    const results = jobs.map((job) => this.sender.result(job.attemptId));
    await Promise.all(jobs.map((job) => this.sender.enqueue(job)));
    await Promise.all(results);
    return (1000 * frames) / (performance.now() - from);
  }

  /** Of the largest worker. */
  get peakMemoryMb(): number {
    return Math.max(...this.workers.map(({ pid }) => (peakMemoryBytes(pid) ?? NaN) / 2 ** 20));
  }

  async stop(): Promise<void> {
    await this.sender.stop();
    await Promise.all(this.workers.map((worker) => worker.stop()));
  }
}

async function startWorker(
  redisUrl: string,
  cores: readonly number[] | null,
  threads: number,
): Promise<ManagedProcess> {
  const port = await anyFreePort();
  const root = repositoryRoot();
  const program = [...WORKER_LAUNCH.args, path.join(root, 'dist/apps/inference/src/main.js')];
  const [command, args] = bound(cores, process.execPath, program);
  const worker = new ManagedProcess({
    name: 'inference',
    command,
    args,
    cwd: root,
    env: {
      PATH: process.env.PATH,
      REDIS_URL: redisUrl,
      HEALTH_PORT: String(port),
      INFERENCE_THREADS: String(threads),
      ...WORKER_LAUNCH.env,
      TEMPLATE_KEK: text(named('k1')),
      EVIDENCE_KEY: text(named('e1')),
      FRAME_PRIVATE_KEYS: text(keys.frames),
      RESULT_PRIVATE_KEY: text(keys.results),
      SIMILARITY_PUBLIC_KEY: text({ id: keys.similarity.id, bytes: sealingPublicKey(keys.similarity.bytes) }),
    },
  });
  await worker.start();
  const isReady = async (): Promise<boolean> => {
    try {
      return (await fetch(`http://127.0.0.1:${port}/health/ready`)).ok;
    } catch {
      return false;
    }
  };
  await worker.waitUntil(isReady, 60_000, 100);
  return worker;
}

const waiting = new Map<string, () => void>();

@Injectable()
class Results {
  /** Verified as a gateway does: it is part of the work. */
  @JobHandler('face.result')
  async take({ result, ...signature }: SignedResult): Promise<void> {
    if (verifyValue([ofWorkers], SIGNED_AS.result, result, signature) !== 'genuine') return;
    waiting.get(result.attemptId)?.();
    waiting.delete(result.attemptId);
  }
}

class Sender {
  private constructor(private readonly app: INestApplicationContext) {}

  static async start(redisUrl: string): Promise<Sender> {
    @Module({
      imports: [
        LoggerModule.forRoot({ name: 'bench', level: 'error' }),
        QueueModule.forRoot({ redisUrl, blobUrl: redisUrl, consumes: ['face.result'], concurrency: 4 }),
      ],
      providers: [Results],
    })
    class App {}
    return new Sender(await NestFactory.createApplicationContext(App, { logger: false, abortOnError: false }));
  }

  /** Seals a step's frames to the workers and puts them where its job will look. */
  async put({ action, frames }: Take): Promise<FaceStepPayload> {
    const body = encodeStep(frames);
    const framesDigest = createHash('sha256').update(body).digest('hex');
    const attemptId = randomUUID();
    const sealed = sealTo(toWorkers, framesAad({ attemptId, step: 1, framesDigest }), body);
    await this.app.get(BlobStore).put(blobKeys.frames(attemptId, 1, framesDigest), sealed, BLOB_SECONDS);
    const challengeId = randomBytes(16).toString('hex');
    const tuple = { attemptId, userId: randomUUID(), challengeId, purpose: 'verify' as const, lockEpoch: 0, run: 0 };
    return { ...tuple, step: 1, action, framesDigest };
  }

  enqueue(job: FaceStepPayload): Promise<void> {
    return this.app.get(JobQueue).enqueue('face.step', job, jobIds.step(job));
  }

  result(attemptId: string): Promise<void> {
    return new Promise((resolve) => waiting.set(attemptId, resolve));
  }

  async stop(): Promise<void> {
    await this.app.close();
  }
}
