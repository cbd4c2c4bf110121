import type { ParsedMail } from 'mailparser';
import { ACR } from '#contracts';
import type { ApiClient } from '#testing';
import { type KeySet, newestOf } from '#sealing';
import { type AuditUnderTest, eventually, startAudit } from './audit-harness.js';
import { GatewayWorld, GOOD, MISMATCH, PASSWORD } from './gateway-world.js';

jest.setTimeout(120_000);

const LINK = /https:\/\/auth\.countersign\.test\/not-me\?token=([\w-]{43})(?![\w-])/;

describe('"this was not me" (real gateway, audit, MongoDB, Redis and SMTP)', () => {
  let audit: AuditUnderTest;
  let world: GatewayWorld;
  beforeAll(async () => {
    audit = await startAudit({ database: 'not_me' });
    const { MONGODB_URI, REDIS_URL, MAIL_KEY, EVENT_KEK } = audit.config;
    const text = (keys: KeySet): string => newestOf(keys).bytes.toString('base64url');
    const shared = { MAIL_KEY: text(MAIL_KEY), EVENT_KEK: text(EVENT_KEK) };
    world = await GatewayWorld.start({ MONGODB_URI, REDIS_URL, ...shared });
  });
  afterAll(async () => {
    await world?.stop();
    await audit?.close();
  });

  async function mailOf(email: string, subject: string): Promise<ParsedMail> {
    let found: ParsedMail | undefined;
    await eventually(() => {
      found = audit.smtp.to(email).find((mail) => mail.subject === subject);
      expect(found).toBeDefined();
    });
    return found as ParsedMail;
  }
  /** The token of the mail's link, the same in its text and in its HTML. */
  function tokenIn(mail: ParsedMail): string {
    const [, token = ''] = LINK.exec(mail.text ?? '') ?? [];
    expect(token).toHaveLength(43);
    expect(mail.html).toContain(`not-me?token=${token}"`);
    return token;
  }
  /** Audit sends at once and keeps no secret, so codes and tokens are read where their owner reads them. */
  async function recover(client: ApiClient, email: string): Promise<void> {
    const verify = await mailOf(email, 'Confirm your e-mail address');
    const [, token] = /verify-email\?token=([\w-]{43})/.exec(verify.text ?? '') ?? [];
    const verified = await client.post('/v1/auth/email/verify', { token });
    expect(verified).toMatchObject({ status: 200 });
    client.token = (verified.body.session as { token: string }).token;
    expect(await client.post('/v1/recovery/codes')).toMatchObject({ status: 202 });
    const [, code] = /^ {2}([A-Z0-9]{8})$/m.exec((await mailOf(email, 'Your recovery code')).text ?? '') ?? [];
    const recovered = await client.post('/v1/recovery/verify', { code });
    expect(recovered).toMatchObject({ status: 200 });
    client.token = String(recovered.body.token);
  }
  const press = (token: string) => world.client().post('/v1/security/not-me', { token });
  const ENROLLED = 'A face was enrolled for your account';

  it('a thief with password and mailbox enrols; the link of the mail undoes it, once', async () => {
    const owner = await world.enrolled();
    const first = tokenIn(await mailOf(owner.email, ENROLLED));
    const thief = world.client('Thief');
    await thief.login(owner.email, PASSWORD);
    await recover(thief, owner.email);
    audit.smtp.mails.length = 0;
    expect((await world.capture(thief, 'enrolments', GOOD)).body).toEqual({ status: 'enrolled' });

    const mail = await mailOf(owner.email, ENROLLED);
    expect(mail.text).toContain('Takes full effect');
    const token = tokenIn(mail);
    const stored = await audit.collection('not_me_tokens').find({ userId: owner.userId }).toArray();
    expect(JSON.stringify(stored)).not.toContain(token);
    expect((await fetch(`${world.url}/not-me?token=${token}`)).status).toBe(200);
    expect((await thief.get('/v1/auth/session')).body).toMatchObject({ acr: ACR.recovery });

    expect(await press(token)).toMatchObject({ status: 204 });
    for (const client of [thief, owner.client]) expect((await client.get('/v1/auth/session')).status).toBe(401);
    expect(await world.guard(owner.userId)).toMatchObject({ template: null, faceRequired: true });
    expect(await audit.collection('face_templates').countDocuments({ userId: owner.userId })).toBe(0);
    expect(await thief.login(owner.email, PASSWORD)).toMatchObject({
      status: 403,
      body: { code: 'password_reset_required' },
    });
    // Neither this link again nor that of an older mail.
    for (const used of [token, first]) {
      expect(await press(used)).toMatchObject({ status: 400, body: { code: 'token_invalid' } });
    }
  });

  it('the link of a lock mail leaves a face alone that had been there before', async () => {
    const owner = await world.enrolled();
    const thief = world.client('Thief');
    await thief.login(owner.email, PASSWORD);
    for (let i = 0; i < 3; i++) await world.capture(thief, 'attempts', MISMATCH);
    const mail = await mailOf(owner.email, 'Face recognition is locked for your account');
    expect(await press(tokenIn(mail))).toMatchObject({ status: 204 });
    expect((await thief.get('/v1/auth/session')).status).toBe(401);
    expect(await world.guard(owner.userId)).not.toMatchObject({ template: null });
    expect((await thief.login(owner.email, PASSWORD)).status).toBe(403);
  });

  it('a link is over after seven days, and goes with its row', async () => {
    const owner = await world.enrolled();
    const token = tokenIn(await mailOf(owner.email, ENROLLED));
    const rows = audit.collection<{ userId: string; createdAt: Date; expireAt: Date }>('not_me_tokens');
    const row = await rows.findOne({ userId: owner.userId });
    expect(Number(row?.expireAt) - Number(row?.createdAt)).toBe(7 * 24 * 3_600_000);
    const indexes = await rows.indexes();
    expect(indexes).toContainEqual(expect.objectContaining({ key: { expireAt: 1 }, expireAfterSeconds: 0 }));
    await rows.updateOne({ userId: owner.userId }, { $set: { expireAt: new Date(Date.now() - 1_000) } });
    expect(await press(token)).toMatchObject({ status: 400 });
    expect((await owner.client.get('/v1/auth/session')).status).toBe(200);
  });
});
