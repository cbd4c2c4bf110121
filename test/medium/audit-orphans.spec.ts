import { randomUUID } from 'node:crypto';
import { type Accounts, openAccounts, type UserRepository } from '#accounts';
import type { StoredEntry } from '#audit-log';
import type { GuardDocument } from '#guard';
import { DrainService } from '../../apps/audit/src/events/drain.service.js';
import { OrphansService } from '../../apps/audit/src/orphans/orphans.service.js';
import { TurnsRepository } from '../../apps/audit/src/turns.repository.js';
import { type AuditUnderTest, startAudit } from './audit-harness.js';

const MINUTE = 60_000;
interface Row {
  _id: string;
  userId: string;
  createdDay: string;
  orphanSince?: Date;
}

describe('what a killed process left behind (real MongoDB)', () => {
  let audit: AuditUnderTest;
  let orphans: OrphansService;
  let users: UserRepository;
  let accounts: Accounts;
  beforeAll(async () => {
    audit = await startAudit({ database: 'audit_orphans' });
    orphans = audit.app.get(OrphansService);
    ({ accounts, users } = openAccounts(audit.db, audit.guard, { failed: () => undefined }));
  }, 60_000);
  afterAll(() => audit.close());
  afterEach(() => jest.restoreAllMocks());

  const guards = () => audit.collection<GuardDocument>('face_guards');
  const templates = () => audit.collection<Row>('face_templates');
  const pruned = async (reason: string): Promise<number> => {
    const rows = await audit.collection<StoredEntry>('face_auth_events').find({ type: 'pruned' }).toArray();
    return rows.filter(({ entry }) => entry.includes(`"reason":"${reason}"`)).length;
  };
  const register = async (): Promise<string> => {
    const made = await accounts.create({ email: `${randomUUID()}@example.test`, passwordHash: 'x' });
    if (made.kind !== 'created') throw new Error('not created');
    return made.user._id;
  };
  /** The registration stops dead between its guard and its account. */
  async function killedRegistration(): Promise<string> {
    const before = new Set(await guards().distinct('_id'));
    jest.spyOn(users, 'insert').mockRejectedValueOnce(new Error('killed'));
    await expect(register()).rejects.toThrow('killed');
    return (await guards().distinct('_id')).find((id) => !before.has(id)) ?? '';
  }
  const age = async (ms: number): Promise<void> => {
    const earlier = new Date(Date.now() - ms);
    await guards().updateMany({ aloneSince: { $exists: true } }, { $set: { aloneSince: earlier } });
    await templates().updateMany({ orphanSince: { $exists: true } }, { $set: { orphanSince: earlier } });
  };
  const drain = (userId: string) => audit.app.get(DrainService).drainUser(userId);

  it('removes a guard whose account was never made, once it was alone for ten minutes, and says so once', async () => {
    const registered = await register();
    const orphan = await killedRegistration();
    const waiting = await killedRegistration();
    await drain(registered);
    await drain(orphan);
    await orphans.sweepGuards();
    // At work perhaps: noted, not touched.
    await age(9 * MINUTE);
    await orphans.sweepGuards();
    expect(await guards().countDocuments()).toBe(3);
    await age(11 * MINUTE);
    await Promise.all([orphans.sweepGuards(), orphans.sweepGuards()]);
    expect(await guards().findOne({ _id: orphan })).toBeNull();
    // Its event is not in the log yet: nothing that is not stored may go.
    expect(await guards().findOne({ _id: waiting })).not.toBeNull();
    expect(await pruned('orphan_guard')).toBe(1);
    await drain(waiting);
    await orphans.sweepGuards();
    expect(await guards().distinct('_id')).toEqual([registered]);
    expect(await pruned('orphan_guard')).toBe(2);
    expect(await audit.entriesOf(orphan)).toMatchObject([{ type: 'registered' }]);
  });

  it('leaves alone a guard whose account came late, and does not look at it again', async () => {
    const orphan = await killedRegistration();
    await orphans.sweepGuards();
    await age(11 * MINUTE);
    await audit.collection<{ _id: string }>('users').insertOne({ _id: orphan });
    await drain(orphan);
    await orphans.sweepGuards();
    const guard = await guards().findOne({ _id: orphan });
    expect(guard).not.toBeNull();
    expect(guard).not.toHaveProperty('isNew');
    expect(guard).not.toHaveProperty('aloneSince');
    expect(await guards().countDocuments({ isNew: true })).toBe(0);
  });

  it('removes template rows that no guard names, of whatever step they were left by, and no other', async () => {
    const [enrolled, withdrawn] = [await register(), await register()];
    const row = (userId: string): Row => ({ _id: randomUUID(), userId, createdDay: '2026-11-20' });
    // Enrolled anew: the pointer has moved, the old row was to be deleted next. A third was inserted, then no decision.
    const [old, named, undecided] = [row(enrolled), row(enrolled), row(enrolled)];
    const left = row(withdrawn);
    const nobodys = row(randomUUID());
    await templates().insertMany([old, named, undecided, left, nobodys]);
    const template = { id: named._id, modelDigest: 'm', enrolledAt: new Date(), heldUntil: null };
    await guards().updateOne({ _id: enrolled }, { $set: { template } });

    await orphans.sweepTemplates();
    expect(await templates().countDocuments()).toBe(5);
    await age(11 * MINUTE);
    // The decision of one came in time after all.
    const decided = row(withdrawn);
    await templates().insertOne({ ...decided, orphanSince: new Date(Date.now() - 11 * MINUTE) });
    await guards().updateOne({ _id: withdrawn }, { $set: { template: { ...template, id: decided._id } } });
    await Promise.all([orphans.sweepTemplates(), orphans.sweepTemplates()]);
    expect((await templates().distinct('_id')).sort()).toEqual([named._id, decided._id].sort());
    expect(await pruned('orphan_template')).toBe(4);
    await orphans.sweepTemplates();
    expect(await pruned('orphan_template')).toBe(4);
    expect(await audit.verify()).toMatchObject({ ok: true });
  });

  it('goes on after a crash between the entry and the removal, with one entry', async () => {
    const orphan = await killedRegistration();
    await drain(orphan);
    await orphans.sweepGuards();
    await age(11 * MINUTE);
    const before = await pruned('orphan_guard');
    const newGuards = (orphans as unknown as { guards: { remove(id: string): Promise<boolean> } }).guards;
    jest.spyOn(newGuards, 'remove').mockRejectedValueOnce(new Error('killed'));
    await orphans.sweepGuards();
    expect(await guards().findOne({ _id: orphan })).not.toBeNull();
    await orphans.sweepGuards();
    expect(await guards().findOne({ _id: orphan })).toBeNull();
    expect(await pruned('orphan_guard')).toBe(before + 1);
  });

  it('is one process at a time, and the next one if that one died', async () => {
    const turns = audit.app.get(TurnsRepository);
    const takes = await Promise.all(Array.from({ length: 8 }, () => turns.take('task', 1_000)));
    expect(takes.filter(Boolean)).toHaveLength(1);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(await turns.take('task', 1_000)).toBe(true);
  });
});
