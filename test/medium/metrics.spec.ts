import { randomUUID } from 'node:crypto';
import { anyFreePort } from '#stack';
import { addUser, type AuditUnderTest, eventually, startAudit } from './audit-harness.js';
import { GatewayWorld, GOOD, MISMATCH } from './gateway-world.js';

jest.setTimeout(60_000);

const read = async (port: number): Promise<string> => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
/** The value of a series, by the start of its line. */
const valueOf = (text: string, series: string): number => {
  const line = text.split('\n').find((one) => one.startsWith(`countersign_${series} `));
  if (line === undefined) throw new Error(`no series ${series}`);
  return Number(line.slice(line.lastIndexOf(' ') + 1));
};

describe('what a gateway measures (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  let port: number;
  beforeAll(async () => {
    port = await anyFreePort();
    world = await GatewayWorld.start({ METRICS_PORT: String(port) });
  });
  afterAll(() => world?.stop());

  it('counts captures by their outcome, answers by what was asked, jobs by how long they waited', async () => {
    const { client } = await world.enrolled();
    expect((await world.capture(client, 'attempts', GOOD)).body).toMatchObject({ status: 'verified' });
    expect((await world.capture(client, 'attempts', MISMATCH)).body).toMatchObject({ status: 'not_verified' });
    const text = await read(port);
    expect(valueOf(text, 'attempts_total{purpose="enrol",outcome="enrolled"}')).toBe(1);
    expect(valueOf(text, 'attempts_total{purpose="verify",outcome="verified"}')).toBe(1);
    expect(valueOf(text, 'attempts_total{purpose="verify",outcome="not_verified"}')).toBe(1);
    expect(valueOf(text, 'decision_seconds_count{purpose="verify"}')).toBe(2);
    expect(valueOf(text, 'decision_seconds_bucket{le="30",purpose="verify"}')).toBe(2);
    expect(valueOf(text, 'decision_seconds_sum{purpose="verify"}')).toBeGreaterThan(0);
    expect(valueOf(text, 'http_request_seconds_count{kind="begin",result="ok"}')).toBe(3);
    expect(valueOf(text, 'http_request_seconds_count{kind="step",result="ok"}')).toBe(9);
    expect(valueOf(text, 'http_request_seconds_count{kind="login",result="ok"}')).toBe(1);
    expect(valueOf(text, 'job_wait_seconds_count{job="face.result"}')).toBe(12);
    expect(valueOf(text, 'job_seconds_count{job="face.result",result="done"}')).toBe(12);
  });

  it('counts refusals by their code, whoever throws them', async () => {
    const before = await read(port);
    const more = async (series: string): Promise<number> => valueOf(await read(port), series) - valueOf(before, series);
    await fetch(`${world.url}/v1/auth/login`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"email":' }); // prettier-ignore
    await fetch(`${world.url}/v1/security/events`);
    await fetch(`${world.url}/nowhere`);
    expect(await more('refusals_total{code="invalid_request"}')).toBe(1);
    expect(await more('refusals_total{code="unauthenticated"}')).toBe(1);
    expect(await more('refusals_total{code="not_found"}')).toBe(1);
    expect(await more('http_request_seconds_count{kind="unknown",result="refused"}')).toBe(1);
  });

  it('are on a listener of their own, and name nobody', async () => {
    const { client, email, userId } = await world.enrolled();
    await world.capture(client, 'attempts', GOOD);
    expect((await fetch(`${world.url}/metrics`)).status).toBe(404);
    const text = await read(port);
    for (const secret of [email, userId, email.split('@')[1]!, '127.0.0.1']) expect(text).not.toContain(secret);
    expect(text).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}/);
  });
});

describe('what audit measures', () => {
  let audit: AuditUnderTest;
  let port: number;
  beforeAll(async () => {
    port = await anyFreePort();
    audit = await startAudit({
      sweepMs: 200,
      database: `metrics_${randomUUID().slice(0, 8)}`,
      env: { METRICS_PORT: String(port) },
    });
  });
  afterAll(() => audit?.close());

  it('asks the queues and the mails when it is read', async () => {
    const text = await read(port);
    for (const queue of ['face', 'results', 'audit']) expect(valueOf(text, `queue_jobs{queue="${queue}",state="waiting"}`)).toBe(0); // prettier-ignore
    expect(valueOf(text, 'queue_workers{queue="audit"}')).toBe(1);
    expect(valueOf(text, 'queue_workers{queue="face"}')).toBe(0);
    expect(valueOf(text, 'mails_waiting')).toBe(0);
    expect(valueOf(text, 'log_refused')).toBe(0);
  });

  it('counts what comes into the log, and how late', async () => {
    await addUser(audit, { events: 3 });
    await eventually(async () =>
      expect(valueOf(await read(port), 'event_delay_seconds_count')).toBeGreaterThanOrEqual(3),
    );
  });
});
