import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { Accounts, hashPassword } from '#accounts';
import { inLanes } from '#testing';
import { auc, sortedScores } from '../../tools/eval/statistics.js';
import { GatewayWorld, PASSWORD } from '../medium/gateway-world.js';
import { LANES, sized, tellRow } from './rows.js';

jest.setTimeout(60 * 60_000);

/** Below the throttle of an account. Each try comes from an address of its own. */
const TRIES_AN_ACCOUNT = 40;
/** More side by side would measure one another. */
const TRIES_AT_ONCE = 4;
const AUC_MAX = 0.55;
/** One-sided, 95 %. */
const Z = 1.645;
const HOUR_MS = 3_600_000;

const KINDS = ['unknown', 'known', 'locked', 'unenrolled'] as const;
type Kind = (typeof KINDS)[number];

/** The real gateway, Redis and MongoDB; accounts as they would stand. */
describe('what a failed login tells', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start({ TRUSTED_PROXIES: '127.0.0.1/32' });
  });
  afterAll(() => world?.stop());

  const guardFields = (kind: Kind): object | null => {
    const now = new Date();
    const template = { id: randomUUID(), modelDigest: world.config.modelDigest, enrolledAt: now, heldUntil: null };
    if (kind === 'known') return { firstEnrolledAt: now, template };
    if (kind !== 'locked') return null;
    return { firstEnrolledAt: now, template, lockedUntil: new Date(Date.now() + HOUR_MS), lockEpoch: 1 };
  };

  async function account(kind: Kind, passwordHash: string): Promise<string> {
    const email = `${randomUUID()}@example.org`;
    if (kind === 'unknown') return email;
    const made = await world.app.get(Accounts, { strict: false }).create({ email, passwordHash });
    if (made.kind !== 'created') throw new Error(made.kind);
    const fields = guardFields(kind);
    const guards = world.db.collection<{ _id: string }>('face_guards');
    if (fields) await guards.updateOne({ _id: made.user._id }, { $set: fields });
    return email;
  }

  async function failure(email: string): Promise<{ answer: string; ms: number }> {
    const headers = { 'content-type': 'application/json', 'x-forwarded-for': `10.${[...randomBytes(3)].join('.')}` };
    const body = JSON.stringify({ email, password: 'not the password' });
    const from = performance.now();
    const response = await fetch(`${world.url}/v1/auth/login`, { method: 'POST', headers, body });
    const text = await response.text();
    const ms = performance.now() - from;
    const kept = [...response.headers].filter(([name]) => name !== 'date' && name !== 'x-request-id');
    return { answer: JSON.stringify({ status: response.status, text, kept }), ms };
  }

  it('T17: is the same and takes the same time for unknown, known, locked and unenrolled', async () => {
    // At 500 the bound of the area is 0.53 by their number alone.
    const each = sized(1_000);
    const passwordHash = await hashPassword(PASSWORD);
    const tries = await Promise.all(
      KINDS.map(async (kind) => {
        const emails = await inLanes(LANES, Math.ceil(each / TRIES_AN_ACCOUNT), () => account(kind, passwordHash));
        return Array.from({ length: each }, (_, i) => ({ kind, email: emails[i % emails.length] ?? '' }));
      }),
    );
    const mixed = tries.flat();
    for (let i = mixed.length - 1; i > 0; i--) {
      const j = randomInt(i + 1);
      [mixed[i], mixed[j]] = [mixed[j]!, mixed[i]!];
    }
    const found = await inLanes(TRIES_AT_ONCE, mixed.length, async (i) => ({
      kind: mixed[i]!.kind,
      ...(await failure(mixed[i]!.email)),
    }));
    const times = (kind: Kind): number[] => found.filter((one) => one.kind === kind).map(({ ms }) => ms);
    const bounds = KINDS.flatMap((a, i) => KINDS.slice(0, i).map((b) => [b, a] as const)).map(([a, b]) => {
      const area = auc(sortedScores(times(a), times(b)))!;
      const error = Math.sqrt((2 * each + 1) / (12 * each * each));
      return { pair: `${a} and ${b}`, upper: Math.max(area, 1 - area) + Z * error };
    });
    const answers = new Set(found.map(({ answer }) => answer)).size;
    const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;
    tellRow({
      id: 'T17',
      what: `failed logins: ${KINDS.map((kind) => `${kind} (median ${median(times(kind)).toFixed(1)} ms)`).join(', ')}`,
      n: found.length,
      found: `${answers} different answers; AUC of the times ${bounds.map(({ pair, upper }) => `${pair} at most ${upper.toFixed(3)}`).join('; ')}`,
      bar: `1 answer, upper bounds (95 %) ≤ ${AUC_MAX}`,
    });
    expect(answers).toBe(1);
    expect(found[0]?.answer).toContain('invalid_credentials');
    for (const { pair, upper } of bounds) expect([pair, upper <= AUC_MAX || each < 500]).toEqual([pair, true]);
  });
});
