import { MAIL_LOCALES, MAIL_TEMPLATES, type MailLocale, type MailTemplate } from '#contracts';
import { compose, isUndoable, isUseful, messageIdOf } from './compose.js';
import { escapeHtml, plain } from './render.js';
import { TEMPLATES } from './templates.js';

const context = { publicUrl: 'https://auth.example.test/', createdAt: new Date('2026-11-23T14:05:30Z') };
const SECRET = 'T0K3N-abc_XYZ';
const NASTY = `<img src=x onerror="alert('1')">&\u0000\r\nBcc: victim@example.test\u202e\u2028\ud800end`;

function mail(template: MailTemplate, params: Record<string, string | number> = {}, locale: MailLocale = 'en') {
  const composed = compose({ template, params }, context, { sealed: SECRET, undo: SECRET }, locale);
  if (composed.kind !== 'composed') throw new Error(composed.reason);
  return composed.mail;
}

describe('mail templates', () => {
  it('has exactly one for every template of the contract', () => {
    expect(Object.keys(TEMPLATES).sort()).toEqual([...MAIL_TEMPLATES].sort());
  });

  const inEveryLanguage = MAIL_TEMPLATES.flatMap((template) =>
    MAIL_LOCALES.map((locale) => [template, locale] as const),
  );
  it.each(inEveryLanguage)(
    '%s (%s): text from outside enters no header and is harmless in text and HTML',
    (template, locale) => {
      const odd = { deviceModel: NASTY, ipAddress: NASTY, at: NASTY, lockedUntil: NASTY, heldUntil: NASTY };
      const nasty = mail(template, odd, locale);
      expect(nasty.subject).toBe(mail(template, {}, locale).subject);
      expect(nasty.subject).toMatch(/^[\x20-\x7eäöüÄÖÜß]+$/);
      expect(nasty.html).not.toMatch(/<img|onerror="|[\p{Cc}\p{Cf}\p{Cs}\p{Zl}]/u);
      expect(nasty.text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
      expect(nasty.text).not.toMatch(/^Bcc:/m);
    },
  );

  it.each(inEveryLanguage)('%s (%s): is complete even when every parameter is missing or odd', (template, locale) => {
    const odd = { at: 'never', lockMinutes: -1, lockedUntil: 'x', count: 0.5, deviceModel: 7 };
    for (const params of [{}, odd] as Record<string, string | number>[]) {
      const { text, html } = mail(template, params, locale);
      expect(`${text}${html}`).not.toMatch(/undefined|null|NaN|Invalid|\[object/);
      expect(text.length).toBeGreaterThan(100);
    }
  });

  it.each(MAIL_TEMPLATES)(
    '%s: says the same in both languages: its times, its link or code, its figures',
    (template) => {
      const params = {
        ...{ deviceModel: 'Pixel 9', ipAddress: '192.0.2.7', at: '2026-11-23T14:05:30.000Z' },
        lockMinutes: 37,
        count: 13,
        days: 9,
        hours: 23,
        heldUntil: '2026-11-24T14:05:30.000Z',
        until: '2026-12-02T00:00:00.000Z',
      };
      const [english, german] = [mail(template, params, 'en'), mail(template, params, 'de')];
      const factsOf = (text: string): string[] =>
        (
          text.match(/https?:\S+|T0K3N\S*|\d{4}-\d\d-\d\d \d\d:\d\d UTC|Pixel 9|192\.0\.2\.7|\b(37|13|9|23)\b/g) ?? []
        ).sort();
      expect(factsOf(german.text)).toEqual(factsOf(english.text));
      expect(german.subject).not.toBe(english.subject);
      expect(german.text).not.toMatch(/\b(the|your|you)\b/);
      expect(german.html).toContain('<html lang="de">');
    },
  );

  it('face_locked names the device, the time in UTC, how long, until when and what to do', () => {
    const { text, html } = mail('face_locked', {
      deviceModel: 'Pixel 9',
      at: '2026-11-23T14:05:30.000Z',
      lockMinutes: 30,
      lockedUntil: '2026-11-23T14:35:30.000Z',
    });
    for (const body of [text, html]) {
      for (const needed of ['Pixel 9', '2026-11-23 14:05 UTC', '30 minutes', '2026-11-23 14:35 UTC']) {
        expect(body).toContain(needed);
      }
      expect(body).toMatch(/change your password/);
      expect(body).toMatch(/end your other sessions/);
      expect(body).toMatch(/password still works, and so does recovery/);
    }
  });

  /** Whether a mail tells of a change. A new template does not compile until it is said here. */
  const tells: Record<MailTemplate, boolean> = {
    email_change_notice: true,
    email_changed: true,
    email_undone: true,
    email_decided: true,
    login_new: true,
    password_changed: true,
    face_unlocked: true,
    account_enabled: true,
    face_locked: true,
    face_enrolled: true,
    face_removed: true,
    recovery_code: true,
    recovery_used: true,
    many_failures: true,
    // Links of their own, which undo or stop just that.
    email_changed_undo: false,
    erasure_announced: true,
    erasure_cancelled: true,
    email_objection: false,
    // Nobody can sign in, or the account is no longer that mailbox's.
    account_disabled: false,
    email_contested: false,
    email_decided_other: false,
    erasure_completed: false,
    // Nothing has changed yet.
    email_verify: false,
    email_change_confirm: false,
    registration: false,
    account_exists: false,
    account_invite: false,
    password_reset: false,
    login_link: false,
    re_enrolment_reminder: false,
    // Staff did it, and said so: whoever reads the mailbox has nothing of his own to undo.
    roles_changed: false,
    face_demanded: false,
    role_request: false,
  };
  it.each(MAIL_TEMPLATES)('15.3: %s has the link "not me" if it tells of a change, and only then', (template) => {
    expect(isUndoable(template)).toBe(tells[template]);
  });

  it.each(MAIL_LOCALES)(
    'B14: roles_changed (%s) names the roles that came and went, and nothing but names',
    (locale) => {
      expect(mail('roles_changed', { added: 'security, auditor', removed: 'admin' }, locale).text).toMatch(
        /: security, auditor\n.*: admin\n/,
      );
      const nasty = mail('roles_changed', { added: NASTY, removed: NASTY }, locale);
      expect(nasty.text).toBe(mail('roles_changed', {}, locale).text);
    },
  );

  /** Mails of which the change is still to come, by their reader's own hand. */
  const BEFORE: readonly MailTemplate[] = [
    ...(['email_verify', 'registration', 'account_exists', 'account_invite', 'password_reset', 'login_link'] as const),
    're_enrolment_reminder',
  ];
  it.each(
    MAIL_TEMPLATES.filter((template) => !BEFORE.includes(template)).flatMap((t) =>
      MAIL_LOCALES.map((l) => [t, l] as const),
    ),
  )('B14: %s (%s) says when it happened, from the row if nothing else says so', (template, locale) => {
    const [plainText, told] = [mail(template, {}, locale), mail(template, { at: '2026-11-22T09:08:07.000Z' }, locale)];
    for (const body of [plainText.text, plainText.html]) expect(body).toContain('2026-11-23 14:05 UTC');
    expect(told.text).toMatch(/2026-11-2[23] (09:08|14:05) UTC/);
  });

  it.each(MAIL_TEMPLATES.filter((template) => tells[template]))(
    '%s has the link by which its reader undoes it, in text and HTML',
    (template) => {
      const url = `https://auth.example.test/not-me?token=${SECRET}`;
      expect(mail(template).text).toContain(`  ${url}\n`);
      expect(mail(template).html).toContain(`href="${url}"`);
      expect(compose({ template, params: {} }, context, {}, 'en')).toEqual({
        kind: 'refused',
        reason: 'no_secret',
      });
    },
  );

  it('email_verify has the link and the bare token, percent-encoded where it must be', () => {
    expect(mail('email_verify').text).toContain(`https://auth.example.test/verify-email?token=${SECRET}`);
    const odd = compose({ template: 'email_verify', params: {} }, context, { sealed: 'a b&c="<' }, 'en');
    expect(odd).toMatchObject({ mail: { text: expect.stringContaining('?token=a%20b%26c%3D%22%3C') as string } });
  });

  it('recovery_code shows the code, its life and that it is never shared; it is not sent when it has expired', () => {
    expect(mail('recovery_code').text).toMatch(/T0K3N-abc_XYZ[\s\S]*10 minutes[\s\S]*Never share/);
    const { createdAt } = context;
    const after = (minutes: number): Date => new Date(createdAt.getTime() + minutes * 60_000);
    expect(isUseful('recovery_code', createdAt, after(9))).toBe(true);
    expect(isUseful('recovery_code', createdAt, after(10))).toBe(false);
    expect(isUseful('face_locked', createdAt, after(1_000))).toBe(true);
  });

  it('refuses a template that needs a secret without one', () => {
    expect(compose({ template: 'recovery_code', params: {} }, context, {}, 'en')).toEqual({
      kind: 'refused',
      reason: 'no_secret',
    });
  });

  it('makes a Message-ID that is the same every time and cannot break its header', () => {
    expect(messageIdOf('lock-6f-3')).toBe('<lock-6f-3@countersign>');
    expect(messageIdOf('a:b>\r\nBcc: x@y')).toBe('<a_b___Bcc__x_y@countersign>');
  });

  it('escapes every character that means something in HTML, and leaves other scripts alone', () => {
    expect(escapeHtml(`<a b='"\`&>`)).toBe('&#60;a b=&#39;&#34;&#96;&#38;&#62;');
    expect(plain(' Gerät\tフォン\n2 ')).toBe('Gerät フォン 2');
  });
});
