import { randomUUID } from 'node:crypto';
import { DrainService } from '../../apps/audit/src/events/drain.service.js';
import { LogWriter } from '../../apps/audit/src/log/log-writer.js';
import { addUser, type AuditUnderTest, startAudit } from './audit-harness.js';
import { GatewayWorld } from './gateway-world.js';

jest.setTimeout(120_000);

/** A gateway and an audit service, both real, over the wire between them. */
describe('the export of security events', () => {
  let audit: AuditUnderTest;
  let world: GatewayWorld;
  beforeAll(async () => {
    audit = await startAudit({ database: 'admin_export' });
    world = await GatewayWorld.start({
      AUDIT_HOST: audit.config.AUDIT_HOST,
      AUDIT_PORT: String(audit.config.AUDIT_PORT),
      AUDIT_SHARED_SECRET: audit.config.AUDIT_SHARED_SECRET,
    });
  });
  afterAll(async () => {
    await world?.stop();
    await audit?.close();
  });

  const officer = async (...roles: string[]) => {
    const account = await world.account();
    await world.db
      .collection<{ _id: string }>('users')
      .updateOne({ _id: account.userId }, { $set: { roles: ['user', ...roles] } });
    return account;
  };
  const path = '/v1/admin/security-events.csv';

  it('brings all pages, and is recorded before it begins; the similarity for an auditor, which is recorded too', async () => {
    const userId = await addUser(audit, { events: 2 });
    await audit.guard.appendEvent(userId, { eventId: randomUUID(), type: 'failed', similarity: 0.125 });
    await audit.app.get(DrainService).drainUser(userId);
    const many = Array.from({ length: 450 }, () => ({
      eventId: randomUUID(),
      userId: null,
      type: 'login_failed' as const,
      timestamp: new Date(),
    }));
    await audit.app.get(LogWriter).append(many);

    const reader = await officer('security');
    const answer = await reader.client.get(path);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present');
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="security-events.csv"');
    const lines = answer.text.trimEnd().split('\r\n');
    expect(lines).toHaveLength(1 + 450 + 4);
    expect(new Set(lines.map((line) => line.split(',').at(-1))).size).toBe(lines.length);
    expect(answer.text).not.toContain('similarity');
    expect(answer.text).not.toContain('0.125');
    const seen = await world.eventTypes(reader.userId);
    expect(seen.filter((type) => type === 'admin_read')).toHaveLength(1);
    expect(seen).not.toContain('similarity_read');

    const auditor = await officer('security', 'auditor');
    const own = await auditor.client.get(`${path}?userId=${userId}&type=failed`);
    expect(own.text.trimEnd().split('\r\n')).toHaveLength(2);
    expect(own.text).toMatch(/,0\.125\r\n$/);
    expect(await world.eventTypes(auditor.userId)).toEqual(expect.arrayContaining(['admin_read', 'similarity_read']));
  });

  it('is refused like any other read', async () => {
    const plain = await officer('auditor');
    expect(await plain.client.get(path)).toMatchObject({ status: 403, body: { code: 'forbidden' } });
    const reader = await officer('security');
    expect(await reader.client.get(`${path}?type=nonsense`)).toMatchObject({ status: 400 });
    expect(await reader.client.get(`${path}?limit=5`)).toMatchObject({ status: 400 });
  });
});
