import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { createProofSealer } from '#audit-log';
import { createGuardStore, type BeginInput, type GuardDocument, type GuardStore, newChallengeId } from '#guard'; // prettier-ignore
import { startServices } from '#stack';
import { measured, type Report } from './command.js';

const MODEL = 'a'.repeat(64);
const CONSENT = 'v1';
const PAIRS = 200;
const USERS = 20;
const UPDATES_EACH = 40;
const BEGINS = 1_000;
const RATIO_BAR = 5;

const HELP = `npm run -s bench -- guard [--rounds N] [--json]

What the guard costs on a real database: its updates for 1 and for ${USERS} users in parallel, a begin beside the least
update that there is (${PAIRS} a round, in turns), and ${BEGINS} begins on one user at once. The bar: a begin takes at most
as long as ${RATIO_BAR} such updates at p50.`;

/** How long some operations took, ms. */
interface Times {
  p50: number;
  p99: number;
  perSecond?: number;
}

export const benchGuard = (args: string[]): Promise<boolean> =>
  measured({ name: 'guard', help: HELP, rounds: 1, measure: onServices }, args);

async function onServices(rounds: number, dir: string, header: string): Promise<Report> {
  const services = await startServices({ dir, ephemeral: true, log: (line) => console.error(line) });
  try {
    const connection = await mongoose.createConnection(services.mongoUri, { dbName: 'bench_guard', maxPoolSize: 50 }).asPromise(); // prettier-ignore
    const guards = connection.getClient().db('bench_guard').collection<GuardDocument>('face_guards');
    const guard = createGuardStore({ collection: guards, sealer: createProofSealer(null) });
    await guard.ensureIndexes();
    try {
      return await measure(new Bench(guard, guards), rounds, header);
    } finally {
      await connection.dropDatabase();
      await connection.close();
    }
  } finally {
    await services.stop();
  }
}

async function measure(bench: Bench, rounds: number, header: string): Promise<Report> {
  const alone = await updates(bench, 1);
  const together = await updates(bench, USERS);

  // In turns, so that a busy machine slows both alike. A cancel between the begins is not measured.
  const userId = await bench.enrolledUser();
  const [begins, trivial]: [number[], number[]] = [[], []];
  for (let i = 0; i < PAIRS * rounds; i++) {
    const input = beginInput(userId);
    begins.push(await timed(() => bench.guard.begin(input)));
    await bench.reset(userId);
    trivial.push(await timed(() => bench.trivial(userId)));
  }
  const ratio = quantile(begins, 0.5) / quantile(trivial, 0.5);
  const isFast = ratio <= RATIO_BAR;

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
  const lines = [
    header,
    '',
    ` 1 user                    ${figures(alone)}`,
    `${USERS} users in parallel       ${figures(together)}`,
    `begin                      ${figures(timesOf(begins))}`,
    `least guard update         ${figures(timesOf(trivial))}`,
    `begin ÷ update at p50      ${ratio.toFixed(2)}; bar ${RATIO_BAR}: ${isFast ? 'met' : 'MISSED'}`,
    `${BEGINS} begins on one user   ${figures(timesOf(times))}, ${seconds.toFixed(2)} s in all, ${begun} begun`,
  ];
  const met = isFast && begun === 1;
  const crowded = { ...timesOf(times), begins: BEGINS, seconds, begun };
  const json = { alone, together: { users: USERS, ...together }, begin: timesOf(begins), update: timesOf(trivial), ratio, bar: RATIO_BAR, crowded, met }; // prettier-ignore
  return { lines, json, met };
}

async function updates(bench: Bench, users: number): Promise<Times> {
  const ids = await Promise.all(Array.from({ length: users }, () => bench.enrolledUser()));
  const times: number[] = [];
  const from = performance.now();
  const each = ids.map(async (userId) => {
    for (let i = 0; i < UPDATES_EACH; i++) times.push(await timed(() => bench.trivial(userId)));
  });
  await Promise.all(each);
  return { ...timesOf(times), perSecond: times.length / ((performance.now() - from) / 1_000) };
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
    await this.guard.setPreferences(
      userId,
      { optOuts: [], extraTime: false, shortChallenges: false },
      {},
      randomUUID(),
    );
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
  storeEpoch: 'bench',
  currentConsentVersion: CONSENT,
  currentModelDigest: MODEL,
  templateId: null,
  hold: false,
  boundFrom: null,
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

const timesOf = (times: readonly number[]): Times => ({ p50: quantile(times, 0.5), p99: quantile(times, 0.99) });

const figures = ({ p50, p99, perSecond }: Times): string =>
  `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms${perSecond === undefined ? '' : `, ${perSecond.toFixed(0)} updates/s`}`;
