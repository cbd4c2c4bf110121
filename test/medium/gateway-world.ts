import { randomBytes, randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { type INestApplicationContext, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createConnection, type Connection } from 'mongoose';
import {
  blobKeys,
  type FaceEnrolPayload,
  type FaceMatchPayload,
  type FaceResultPayload,
  type FaceStepPayload,
  type MailTemplate,
  type MatchResult,
  mailSecretAad,
  type OutboxEvent,
  type Personal,
  SIGNED_AS,
  similarityAad,
  type StepVerdict,
} from '#contracts';
import { openPersonal, openSubject, type SubjectRow } from '#audit-log';
import { LoggerModule } from '#observability';
import { BlobStore, JobHandler, JobQueue, QueueModule } from '#queue';
import { newestOf, openText, sealingPublicKey, sealTo, signingPublicKey, signValue } from '#sealing';
import { servicesOfTestRun, withDatabase } from '#stack';
import { type Answer, ApiClient, encodeStep } from '#testing';
import { type GatewayConfig, loadConfig } from '../../apps/gateway/src/config.js';
import { createGateway } from '../../apps/gateway/src/http/server.js';
import { ownRedisUrl } from '../redis-database.js';

export const PASSWORD = 'correct horse battery staple';

/** What the test worker finds. Prepared by the test; everything else on the way is real. */
export interface Findings {
  verdict: (step: number) => StepVerdict;
  judgement: MatchResult['judgement'];
  similarity: number | null;
  stalledTwice: boolean;
}
export const GOOD: Findings = {
  verdict: () => ({ kind: 'done' }),
  judgement: 'ok',
  similarity: 0.71,
  stalledTwice: false,
};

export const MISMATCH: Findings = { ...GOOD, judgement: 'mismatch', similarity: 0.12 };

/** The worker's half of the keys, as in production: the gateway under test has only the public ones. */
const SIGNING = { id: 'r1', bytes: randomBytes(32) };
const SIMILARITY = { id: 's1', bytes: randomBytes(32) };
const text = ({ id, bytes }: { id: string; bytes: Buffer }): string => `${id}:${bytes.toString('base64url')}`;
export const WORKER_KEYS = {
  signing: SIGNING,
  similarity: { id: SIMILARITY.id, bytes: sealingPublicKey(SIMILARITY.bytes) },
  frames: { id: 'f1', bytes: randomBytes(32) },
};

/** The environment that knows those keys. */
export const GATEWAY_KEYS = {
  FRAME_PUBLIC_KEY: text({ id: 'f1', bytes: sealingPublicKey(WORKER_KEYS.frames.bytes) }),
  RESULT_PUBLIC_KEYS: text({ id: 'r1', bytes: signingPublicKey(SIGNING.bytes) }),
  SIMILARITY_PRIVATE_KEYS: text(SIMILARITY),
};

/** As a worker says it. */
export const signedResult = (result: FaceResultPayload) => ({
  result,
  ...signValue(SIGNING, SIGNED_AS.result, result),
});

/** The gateway in this process on real Redis and MongoDB, and a worker that answers face jobs through the real queues. */
export class GatewayWorld {
  /** By user, so that captures of different users can run side by side. */
  private readonly prepared = new Map<string, Findings>();
  /** Job ids in the order in which the worker saw them. */
  readonly jobs: string[] = [];
  /** While it is set, comparisons stay in the worker's hands until it resolves. */
  holdMatches: Promise<void> | null = null;

  private constructor(
    readonly app: NestFastifyApplication,
    readonly config: GatewayConfig,
    /** What the configuration was read from: for a gateway in a process of its own beside this one. */
    readonly env: Readonly<Record<string, string>>,
    readonly db: Connection,
    private worker: INestApplicationContext | null,
  ) {}

  static async start(overrides: Record<string, string> = {}): Promise<GatewayWorld> {
    const services = servicesOfTestRun();
    const env = {
      MONGODB_URI: withDatabase(services.mongoUri, `gateway_${randomBytes(4).toString('hex')}`),
      REDIS_URL: overrides.REDIS_URL ?? (await ownRedisUrl()),
      AUDIT_PORT: '1',
      AUDIT_SHARED_SECRET: 'x'.repeat(40),
      SESSION_KEY: randomBytes(32).toString('base64url'),
      ...GATEWAY_KEYS,
      MAIL_KEY: randomBytes(32).toString('base64url'),
      EVENT_KEK: randomBytes(32).toString('base64url'),
      LOG_LEVEL: 'error',
      REGISTRATIONS_PER_HOUR: '100000',
      FIRST_ENROLMENT: 'open',
      STAFF_READS: 'pwd',
      // Tests side by side share two cores with the server.
      MONGODB_WAIT_MS: '10000',
      ...overrides,
    };
    const config = loadConfig(env);
    const db = await createConnection(config.MONGODB_URI).asPromise();
    const app = await createGateway(config);
    await app.listen(0, '127.0.0.1');
    const world = new GatewayWorld(app, config, env, db, null);
    await world.startWorker();
    return world;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.app.getHttpServer().address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    await this.stopWorker();
    await this.app.close();
    await this.db.dropDatabase();
    await this.db.close();
  }

  async startWorker(): Promise<void> {
    this.worker = await startWorker(this);
    // Admission counts connected workers: wait until the gateway sees this one.
    const jobs = this.app.get(JobQueue);
    for (let i = 0; i < 100 && (await jobs.workers('face')) === 0; i++) await sleep(20);
  }

  async stopWorker(): Promise<void> {
    await this.worker?.close();
    this.worker = null;
  }

  client(device = 'Pixel 9'): ApiClient {
    return new ApiClient(this.url, device);
  }

  /** A new account with a session at `pwd`. */
  async account(o: { consent?: boolean } = {}): Promise<{ client: ApiClient; email: string; userId: string }> {
    const client = this.client();
    const email = `${randomUUID()}@example.org`;
    const registered = await patiently(() => client.post('/v1/auth/register', { email, password: PASSWORD }));
    expect(registered).toMatchObject({ status: 201 });
    expect(await patiently(() => client.login(email, PASSWORD))).toMatchObject({ status: 200 });
    if (o.consent !== false) await giveConsent(client);
    return { client, email, userId: String(registered.body.userId) };
  }

  /** Enrolled without a capture: for tests that need many people and nothing of how they came. */
  async enrolledAtOnce(): Promise<{ client: ApiClient; email: string; userId: string }> {
    const account = await this.account();
    const { modelDigest } = this.config;
    const template = { id: randomUUID(), modelDigest, enrolledAt: new Date(), heldUntil: null };
    const row = { userId: account.userId, modelDigest, keyVersion: '1', ciphertext: 'AA', wrappedDek: 'AA' };
    const created = { createdAt: template.enrolledAt, createdDay: template.enrolledAt.toISOString().slice(0, 10) };
    await this.db.collection<{ _id: string }>('face_templates').insertOne({ _id: template.id, ...row, ...created });
    const enrolled = { $set: { template, firstEnrolledAt: template.enrolledAt, everHadFactor: true } };
    await this.db.collection<{ _id: string }>('face_guards').updateOne({ _id: account.userId }, enrolled);
    return account;
  }

  async enrolled(): Promise<{ client: ApiClient; email: string; userId: string }> {
    const account = await this.account();
    expect((await this.capture(account.client, 'enrolments', GOOD)).body).toEqual({ status: 'enrolled' });
    return account;
  }

  /** One capture from begin to its end, with the findings given. */
  async capture(client: ApiClient, kind: 'attempts' | 'enrolments' | 'practice', findings: Findings): Promise<Answer> {
    const begun = await this.begin(client, kind, findings);
    if (begun.status !== 201) return begun;
    const attemptId = String(begun.body.attemptId);
    const sent = await this.sendSteps(client, attemptId);
    if (sent.status !== 202) return sent;
    return this.outcome(client, attemptId);
  }

  /** Begins a capture whose steps the worker will find so. */
  async begin(client: ApiClient, kind: 'attempts' | 'enrolments' | 'practice', findings: Findings): Promise<Answer> {
    this.prepare(String((await client.get('/v1/auth/session')).body.userId), findings);
    return client.post(`/v1/face/${kind}`);
  }

  /** What the worker will find in this user's captures. */
  prepare(userId: string, findings: Findings): void {
    this.prepared.set(userId, findings);
  }

  findingsOf(userId: string): Findings {
    return this.prepared.get(userId) ?? GOOD;
  }

  /** Asks again where a busy machine has no outcome yet, or no answer. */
  async outcome(client: ApiClient, attemptId: string): Promise<Answer> {
    const ask = (): Promise<Answer> => client.get(`/v1/face/attempts/${attemptId}?wait=10`);
    const end = await patiently(ask, ({ status, body }) => status !== 503 && body.status !== 'deciding');
    const session = end.body.session as { token?: string } | undefined;
    if (session?.token) client.token = session.token;
    return end;
  }

  /** Waits until the step's window is open (0.3 s after the reveal), then sends frames that were never seen. */
  async sendStep(client: ApiClient, attemptId: string, step: number, body = stepBody()): Promise<Answer> {
    await sleep(350);
    return client.postBytes(`/v1/face/attempts/${attemptId}/steps/${step}`, body);
  }

  /** All steps: three, or more after an attempt that was not decided. Returns the last answer. */
  async sendSteps(client: ApiClient, attemptId: string): Promise<Answer> {
    for (let step = 1; ; step++) {
      const sent = await patiently(() => this.sendStep(client, attemptId, step));
      if (sent.body.status !== 'capturing') return sent;
    }
  }

  /** The secret of a user's newest mail of a kind, opened as the audit service would. */
  async mailSecret(userId: string, template: MailTemplate): Promise<string> {
    const rows = await this.db.collection('mails').find({ userId, template }).toArray();
    const row = rows.sort((a, b) => Number(a.createdAt) - Number(b.createdAt)).at(-1);
    if (!row) throw new Error(`no mail ${template}`);
    const mailId = String(row._id);
    return openText(newestOf(this.config.MAIL_KEY).bytes, mailSecretAad(mailId), String(row.sealedSecret));
  }

  /** What is personal in an event of an outbox, opened as the audit service would. */
  async personal({ userId, eventId, sealed }: OutboxEvent): Promise<Personal> {
    const row = await this.db.collection<SubjectRow>('subjects').findOne({ _id: String(userId) });
    const dek = row && openSubject(row, this.config.EVENT_KEK).dek;
    return dek ? openPersonal(eventId, sealed?.parts ?? [], dek) : {};
  }

  async verifyEmail(userId: string): Promise<void> {
    const token = await this.mailSecret(userId, 'email_verify');
    expect(await this.client().post('/v1/auth/email/verify', { token })).toMatchObject({ status: 200 });
  }

  /** Recovers by mailed code; the client's session is at pwd+recovery afterwards. */
  async recover(account: { client: ApiClient; userId: string }): Promise<Answer> {
    expect(await account.client.post('/v1/recovery/codes')).toMatchObject({ status: 202 });
    const code = await this.mailSecret(account.userId, 'recovery_code');
    const answer = await account.client.post('/v1/recovery/verify', { code });
    if (answer.status === 200) account.client.token = String(answer.body.token);
    return answer;
  }

  async guard(userId: string): Promise<Record<string, unknown>> {
    const row = await this.db.collection<{ _id: string }>('face_guards').findOne({ _id: userId });
    if (!row) throw new Error('no guard');
    return row;
  }

  async eventTypes(userId: string): Promise<string[]> {
    const { outbox } = (await this.guard(userId)) as { outbox: { event?: { type: string } }[] };
    return outbox.flatMap((entry) => (entry.event ? [entry.event.type] : []));
  }
}

export async function giveConsent(client: ApiClient): Promise<void> {
  const { version, textSha256 } = (await client.get('/v1/face/consent')).body;
  expect(await client.put('/v1/face/consent', { version, textSha256 })).toMatchObject({ status: 200 });
}

/** As clients do where a busy machine says 503. */
export async function patiently(
  send: () => Promise<Answer>,
  isDone = (answer: Answer) => answer.status !== 503,
): Promise<Answer> {
  for (let tries = 1; ; tries++) {
    const answer = await send();
    if (isDone(answer) || tries === 40) return answer;
    await sleep(200);
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Bytes that begin as a JPEG of that size does, and are new each time. */
export function jpegOf(width = 640, height = 480, padding = 200): Buffer {
  const frameHeader = Buffer.from([0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0, 0, 0, 0, 1, 1, 0x11, 0]);
  frameHeader.writeUInt16BE(height, 7);
  frameHeader.writeUInt16BE(width, 9);
  const scan = Buffer.from([0xff, 0xda, 0, 8, 1, 1, 0, 0, 0x3f, 0]);
  // No byte of it begins a marker.
  const coded = randomBytes(padding).map((byte) => Math.min(byte, 0xfe));
  return Buffer.concat([frameHeader, scan, coded, Buffer.from([0xff, 0xd9])]);
}

export const stepBody = (): Buffer =>
  encodeStep(Array.from({ length: 4 }, (_, i) => ({ tMs: i * 50, jpeg: jpegOf() })));

function startWorker(world: GatewayWorld): Promise<INestApplicationContext> {
  @Injectable()
  class TestWorker {
    constructor(
      private readonly jobs: JobQueue,
      private readonly blobs: BlobStore,
    ) {}

    @JobHandler('face.step')
    async step(payload: FaceStepPayload): Promise<void> {
      const { keepSeconds: _, ...named } = payload;
      const { attemptId, step, run, framesDigest, userId } = named;
      world.jobs.push(`${attemptId}-${step}-${run}`);
      if (!(await this.blobs.exists(blobKeys.frames(attemptId, step, framesDigest)))) return;
      const result = {
        ...named,
        kind: 'step',
        verdict: world.findingsOf(userId).verdict(step),
        modelDigest: digest(),
      } as const;
      await this.jobs.enqueue('face.result', signedResult(result), `${attemptId}-${step}-${run}-result`);
    }

    @JobHandler('face.match')
    async match(payload: FaceMatchPayload): Promise<void> {
      const { attemptId, run, userId } = payload;
      const { judgement, similarity, stalledTwice } = world.findingsOf(userId);
      world.jobs.push(`${attemptId}-match-${run}`);
      await world.holdMatches;
      if (similarity !== null) {
        const value = { attemptId, run, similarity };
        const inside = { value, ...signValue(SIGNING, SIGNED_AS.similarity, value) };
        const sealed = sealTo(WORKER_KEYS.similarity, similarityAad(value), Buffer.from(JSON.stringify(inside)));
        await this.blobs.put(blobKeys.similarity(attemptId, run), sealed, 60);
      }
      const result = {
        ...payload,
        kind: 'match',
        judgement,
        stalledTwice,
        modelDigest: digest(),
        thresholdId: 't',
      } as const;
      await this.jobs.enqueue('face.result', signedResult(result), `${attemptId}-match-${run}-result`);
    }

    @JobHandler('face.enrol')
    async enrol(payload: FaceEnrolPayload): Promise<void> {
      const { attemptId, run, templateId, userId } = payload;
      const { judgement, stalledTwice } = world.findingsOf(userId);
      world.jobs.push(`${attemptId}-enrol-${run}`);
      const template = {
        templateId,
        userId,
        modelDigest: digest(),
        keyVersion: '1',
        ciphertext: 'AA',
        wrappedDek: 'AA',
      };
      const value = { attemptId, run, template };
      const signed = { value, ...signValue(SIGNING, SIGNED_AS.newTemplate, value) };
      await this.blobs.put(blobKeys.newTemplate(attemptId, run), Buffer.from(JSON.stringify(signed)), 60);
      const result = { ...payload, kind: 'enrol', judgement, stalledTwice, modelDigest: digest() } as const;
      await this.jobs.enqueue('face.result', signedResult(result), `${attemptId}-enrol-${run}-result`);
    }
  }
  const digest = (): string => world.config.modelDigest;
  const { REDIS_BLOB_URL, REDIS_URL } = world.config;

  @Module({
    imports: [
      LoggerModule.forRoot({ name: 'test-worker', level: 'error' }),
      QueueModule.forRoot({
        redisUrl: REDIS_URL,
        blobUrl: REDIS_BLOB_URL ?? REDIS_URL,
        consumes: ['face.step', 'face.match', 'face.enrol'],
        concurrency: 64,
      }),
    ],
    providers: [TestWorker],
  })
  class App {}
  return NestFactory.createApplicationContext(App, { logger: false, abortOnError: false });
}
