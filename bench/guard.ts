import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import mongoose from 'mongoose';
import { createGuardStore, type BeginInput, type GuardDocument, type GuardStore, newChallengeId, nothingPersonal } from '#guard'; // prettier-ignore
import { startServices, temporaryFolder } from '#stack';

const MODEL = 'a'.repeat(64);
const CONSENT = 'v1';
const PAIRS = 200;
const USERS = 20;
const UPDATES_EACH = 40;
const BEGINS = 1_000;
const RATIO_BAR = 5;

/** What the guard costs on a real database: updates, begins, and a thousand begins on one user. */
export async function benchGuard(): Promise<boolean> {
  const dir = temporaryFolder('bench-guard');
  const services = await startServices({ dir, ephemeral: true, log: (line) => console.error(line) });
  try {
    const connection = await mongoose.createConnection(services.mongoUri, { dbName: 'bench_guard', maxPoolSize: 50 }).asPromise(); // prettier-ignore
    const guards = connection.getClient().db('bench_guard').collection<GuardDocument>('face_guards');
    const guard = createGuardStore({ collection: guards, sealer: nothingPersonal });
    await guard.ensureIndexes();
    try {
      return await measure(new Bench(guard, guards));
    } finally {
      await connection.dropDatabase();
      await connection.close();
    }
  } finally {
    await services.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

async function measure(bench: Bench): Promise<boolean> {
  await updates(bench, 1);
  await updates(bench, USERS);

  // In turns, so that a busy machine slows both alike. A cancel between the begins is not measured.
  const userId = await bench.enrolledUser();
  const [begins, trivial]: [number[], number[]] = [[], []];
  for (let i = 0; i < PAIRS; i++) {
    const input = beginInput(userId);
    begins.push(await timed(() => bench.guard.begin(input)));
    await bench.reset(userId);
    trivial.push(await timed(() => bench.trivial(userId)));
  }
  const ratio = quantile(begins, 0.5) / quantile(trivial, 0.5);
  console.log(`begin                      ${figures(begins)}`);
  console.log(`trivial guard update       ${figures(trivial)}`);
  const met = ratio <= RATIO_BAR;
  console.log(`begin ÷ trivial at p50     ${ratio.toFixed(2)}; bar ${RATIO_BAR}: ${met ? 'met' : 'MISSED'}`);

  const crowd = await bench.enrolledUser();
  const from = performance.now();
  let begun = 0;
  const times = await Promise.all(
    Array.from({ length: BEGINS }, () =>
      timed(async () => {
        if ((await bench.guard.begin(beginInput(crowd))).kind === 'begun') begun += 1;
      }),
    ),
  );
  const seconds = (performance.now() - from) / 1_000;
  console.log(`${BEGINS} begins on one user   ${figures(times)}, ${seconds.toFixed(2)} s in all, ${begun} begun`);
  return met && begun === 1;
}

async function updates(bench: Bench, users: number): Promise<void> {
  const ids = await Promise.all(Array.from({ length: users }, () => bench.enrolledUser()));
  const times: number[] = [];
  const from = performance.now();
  const each = ids.map(async (userId) => {
    for (let i = 0; i < UPDATES_EACH; i++) times.push(await timed(() => bench.trivial(userId)));
  });
  await Promise.all(each);
  const rate = times.length / ((performance.now() - from) / 1_000);
  console.log(`${String(users).padStart(2)} users in parallel       ${figures(times)}, ${rate.toFixed(0)} updates/s`);
}

class Bench {
  constructor(
    readonly guard: GuardStore,
    private readonly guards: mongoose.mongo.Collection<GuardDocument>,
  ) {}

  async enrolledUser(): Promise<string> {
    const userId = randomUUID();
    await this.guard.create(userId, { faceRequired: true, event: { eventId: randomUUID(), type: 'registered' } });
    await this.guard.change(userId, { kind: 'consent_given', version: CONSENT }, {}, randomUUID());
    const template = { id: randomUUID(), modelDigest: MODEL, enrolledAt: new Date(), heldUntil: null };
    await this.guards.updateOne(
      { _id: userId },
      { $set: { template, outbox: [], hasOutbox: false, outboxSince: null } },
    );
    return userId;
  }

  /** The least that a guard's update can be: the same filter, builder and write concern, one field. */
  async trivial(userId: string): Promise<void> {
    await this.guard.setPreferences(userId, { optOuts: [], extraTime: false }, {}, randomUUID());
  }

  async reset(userId: string): Promise<void> {
    const fields = { reservation: null, hasDue: false, dueAt: null, outbox: [], hasOutbox: false, outboxSince: null };
    await this.guards.updateOne({ _id: userId }, { $set: fields });
  }
}

const beginInput = (userId: string): BeginInput => ({
  userId,
  attemptId: randomUUID(),
  challengeId: newChallengeId(),
  sessionId: randomUUID(),
  purpose: 'verify',
  actions: ['blink', 'turn_left', 'smile'],
  transportEpoch: 'bench',
  currentConsentVersion: CONSENT,
  currentModelDigest: MODEL,
  templateId: null,
  hold: false,
  origin: {},
});

async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
}

const figures = (times: readonly number[]): string =>
  `p50 ${quantile(times, 0.5).toFixed(1)} ms, p99 ${quantile(times, 0.99).toFixed(1)} ms`;
