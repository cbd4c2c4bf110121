import { randomBytes, randomUUID } from 'node:crypto';
import { createEventSealer, newSubject, openSubject, SearchTags, SubjectKeys, type SubjectRow } from '#audit-log';
import { mailSecretAad } from '#contracts';
import { type NamedKey, SealError, sealText } from '#sealing';
import { EventKeysService } from '../../apps/audit/src/log/event-keys.service.js';
import { LogWriter } from '../../apps/audit/src/log/log-writer.js';
import { SubjectsRepository } from '../../apps/audit/src/log/subjects.repository.js';
import { MailerService } from '../../apps/audit/src/notifications/mailer.service.js';
import { type AuditUnderTest, startAudit } from './audit-harness.js';

const named = (id: string): NamedKey => ({ id, bytes: randomBytes(32) });
const text = (...keys: NamedKey[]): string =>
  keys.map(({ id, bytes }) => `${id}:${bytes.toString('base64url')}`).join();

describe('a change of EVENT_KEK and MAIL_KEY (real MongoDB and SMTP)', () => {
  const [older, newer] = [named('20250101-aaaa'), named('20260101-bbbb')];
  let audit: AuditUnderTest;
  beforeAll(async () => {
    const both = text(newer, older);
    audit = await startAudit({ database: 'event_keys', env: { EVENT_KEK: both, MAIL_KEY: both } });
  }, 60_000);
  afterAll(() => audit.close());

  const subjects = () => audit.collection<SubjectRow>('subjects');
  const ask = (filter: object): Promise<unknown> =>
    audit.ask({ secret: audit.config.AUDIT_SHARED_SECRET, limit: 20, withSimilarity: false, ...filter });
  /** An event as a gateway seals it that has these keys. */
  async function event(userId: string, ...keys: [NamedKey, ...NamedKey[]]): Promise<void> {
    const rows = audit.app.get(SubjectsRepository);
    const sealer = createEventSealer(
      new SubjectKeys(rows, keys, { rememberMs: 0, rememberMax: 0 }),
      new SearchTags(keys),
    );
    const eventId = randomUUID();
    const [personal, known] = [{ deviceModel: 'Pixel 9', ipAddress: '192.0.2.7' }, { types: ['login_ok' as const] }];
    const sealed = (await sealer.of(userId)).event(eventId, personal, known);
    await audit.app.get(LogWriter).append([{ eventId, userId, type: 'login_ok', timestamp: new Date(), sealed }]);
  }

  it('what the old key made is read and found beside what the new one makes, before and after it is wrapped anew', async () => {
    const [before, during] = [randomUUID(), randomUUID()];
    await event(before, older);
    // A gateway that has not been told to make with the new one yet, and one that has.
    await event(before, older, newer);
    await event(during, newer, older);
    const check = async (): Promise<void> => {
      const read = { deviceModel: 'Pixel 9', ipAddress: '192.0.2.7' };
      expect(await ask({ userId: before })).toMatchObject({ events: [read, read] });
      expect(await ask({ userId: during })).toMatchObject({ events: [read] });
      for (const filter of [
        { device: 'pixel 9' },
        { address: '192.0.2.7' },
        { device: 'pixel 9', address: '192.0.2.0/24' },
      ])
        expect(((await ask(filter)) as { events: unknown[] }).events).toHaveLength(3);
      expect(await ask({ device: 'another' })).toMatchObject({ events: [] });
    };
    await check();
    expect((await subjects().findOne({ _id: before }))?.kek).toBe(older.id);
    await Promise.all([audit.app.get(EventKeysService).rewrap(), audit.app.get(EventKeysService).rewrap()]);
    await check();
    for (const row of await subjects().find({}).toArray()) {
      expect(row.kek).toBe(newer.id);
      expect(openSubject(row, [newer]).dek).toHaveLength(32);
      expect(() => openSubject(row, [older])).toThrow(SealError);
    }
    expect(audit.logs.join('')).toContain('event_keys_rewrapped');
    expect(await audit.verify()).toMatchObject({ ok: true });
  });

  it('a key that no known KEK opens is told of, and stops nothing; one that is destroyed meanwhile stays so', async () => {
    const [lost, gone] = [randomUUID(), randomUUID()];
    await subjects().insertOne(newSubject(lost, [named('lost')]));
    await event(gone, older);
    const rows = audit.app.get(SubjectsRepository);
    await rows.destroyKey(gone);
    await audit.app.get(EventKeysService).rewrap();
    expect((await subjects().findOne({ _id: lost }))?.kek).toBe('lost');
    expect(await subjects().findOne({ _id: gone })).not.toHaveProperty('wrappedDek');
    expect(audit.logs.join('')).toContain('event_keys_closed');
  });

  it('a mail that waited under the old key goes out with its code', async () => {
    const _id = randomUUID();
    const sealedSecret = sealText(older.bytes, mailSecretAad(_id), 't0ken');
    const to = 'waits@example.test';
    const row = {
      _id,
      userId: randomUUID(),
      to,
      template: 'email_verify',
      params: {},
      sealedSecret,
      createdAt: new Date(),
    };
    await audit.collection<typeof row>('mails').insertOne(row);
    await audit.app.get(MailerService).deliver(_id);
    expect(audit.smtp.to(to)[0]?.text).toContain('token=t0ken');
  });
});
