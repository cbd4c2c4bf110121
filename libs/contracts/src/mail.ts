import { z } from 'zod';

export const MAIL_TEMPLATES = [
  'email_verify',
  'email_change_notice',
  'email_change_confirm',
  'email_changed',
  'email_changed_undo',
  'email_undone',
  'email_objection',
  'email_contested',
  'email_decided',
  'email_decided_other',
  'registration',
  'account_exists',
  'account_invite',
  'password_reset',
  'login_link',
  'login_new',
  'password_changed',
  'face_unlocked',
  'account_disabled',
  'account_enabled',
  'roles_changed',
  'role_request',
  're_enrolment_reminder',
  'face_locked',
  'face_enrolled',
  'face_removed',
  'face_demanded',
  'recovery_code',
  'recovery_used',
  'many_failures',
  'erasure_announced',
  'erasure_cancelled',
  'erasure_completed',
] as const;
export type MailTemplate = (typeof MAIL_TEMPLATES)[number];
export const mailTemplateSchema = z.enum(MAIL_TEMPLATES);

/** Languages that mails are written in. The first is for everybody of whom none is known. */
export const MAIL_LOCALES = ['en', 'de'] as const;
export type MailLocale = (typeof MAIL_LOCALES)[number];

/** A local part that needs no quotes (RFC 5321, `Dot-string`). */
export const ATOMS = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;

/** An address as it is stored and mailed to (RFC 5321): ASCII, the domain in lower case, IDNs as A-labels. */
export const mailboxSchema = z
  .string()
  .max(254)
  .refine((text) => {
    const at = text.lastIndexOf('@');
    const [local, domain] = [text.slice(0, Math.max(0, at)), text.slice(at + 1)];
    const areLabels = domain.split('.').every((label) => label.length <= 63 && LABEL.test(label));
    return local.length <= 64 && ATOMS.test(local) && domain.length <= 253 && areLabels;
  });

/** Whom a mail may be sent to: also addresses that version 0.1 took, whose parts may be longer than RFC 5321 says. */
export const recipientSchema = z.union([mailboxSchema, z.email()]);

/**
 * The mail language that a language tag (`de-AT`) or an Accept-Language field (RFC 9110, 12.5.4) likes best; undefined
 * when it names none of ours.
 */
export function mailLocaleOf(languages: string | undefined): MailLocale | undefined {
  const ranges = (languages ?? '')
    .slice(0, 500)
    .split(',')
    .map((range) => {
      const [tag = '', ...parameters] = range
        .trim()
        .toLowerCase()
        .split(/\s*;\s*/);
      const quality = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
      return { language: tag.split(/[-_]/)[0], quality: quality === undefined ? 1 : Number(quality) };
    });
  const liked = ranges.filter(({ quality }) => quality > 0).sort((a, b) => b.quality - a.quality);
  return liked
    .map(({ language }) => MAIL_LOCALES.find((locale) => locale === language))
    .find((locale) => locale !== undefined);
}

/**
 * A mail waiting to be sent: one document of the collection `mails`. The unique `_id` is the idempotency key and the
 * stem of the Message-ID. Secrets (codes, link tokens) are sealed, see `sealedSecret`; they are never stored in clear.
 */
export const mailRowSchema = z.strictObject({
  _id: z.string(),
  userId: z.uuid(),
  /** Only for an address that is not, or not yet, the user's current one; else read from the user when sending. */
  to: recipientSchema.optional(),
  template: mailTemplateSchema,
  params: z.record(z.string(), z.union([z.string(), z.number()])),
  /** Where the request came from (JSON), under its person's event key, AAD `mail-origin:v1:<userId>`, base64url. */
  sealedOrigin: z.string().optional(),
  /** AES-256-GCM under MAIL_KEY, AAD `mail:v1:<_id>`, base64url. */
  sealedSecret: z.string().optional(),
  createdAt: z.date(),
});
export type MailRow = z.infer<typeof mailRowSchema>;

/** AAD that binds a sealed mail secret to its row. */
export const mailSecretAad = (mailId: string): string => `mail:v1:${mailId}`;

/** Name of the collection of links "this was not me": audit writes a row as it sends the mail, the gateway takes it. */
export const NOT_ME_COLLECTION = 'not_me_tokens';
export const notMeRowSchema = z.strictObject({
  /** SHA-256 of the token's text, hex. */
  _id: z.string().regex(/^[0-9a-f]{64}$/),
  userId: z.uuid(),
  /** What the mail told of. */
  template: mailTemplateSchema,
  createdAt: z.date(),
  expireAt: z.date(),
});
export type NotMeRow = z.infer<typeof notMeRowSchema>;
