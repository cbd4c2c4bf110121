import { domainToASCII } from 'node:url';
import { z } from 'zod';
import { ATOMS, mailboxSchema, recipientSchema } from '#contracts';

/**
 * `unsupported`: an address by the standards that no mail can be sent to from here: a local part beyond ASCII (it needs
 * SMTPUTF8, RFC 6531, of every server on the way) or one that cannot do without quotes, an address literal, a name that
 * is not fully qualified.
 */
type ReadEmail = { kind: 'ok'; email: string } | { kind: 'malformed' | 'unsupported' };

const MALFORMED = { kind: 'malformed' } as const;
const UNSUPPORTED = { kind: 'unsupported' } as const;
type Part = { kind: 'ok'; text: string } | typeof MALFORMED | typeof UNSUPPORTED;

const QUOTED = /^"((?:[ !#-[\]-~]|\\[ -~])*)"$/;
const QUOTED_BEYOND_ASCII = /^"(?:[ !#-[\]-~\u0080-\u{10ffff}]|\\[ -~])*"$/u;
const BEYOND_ASCII = /[^\0-\x7f]/gu;
const ADDRESS_LITERAL = /^\[[!-Z^-~]+\]$/;
/** ASCII that stands in no host name: `domainToASCII` would read some of it as parts of a URL. */
const NOT_OF_HOSTS = /[\0-,/:-@[-`{-\x7f]/;
const NUMERIC = /^(\d+|0x[\da-f]*)$/;

/**
 * The one form of an address that is stored, compared and mailed to: lower case, the domain as A-labels (IDNA, UTS #46),
 * a local part without needless quotes. Lengths are RFC 5321's (4.5.3.1), in octets: 64, 255 and 254 in all.
 */
export function readEmail(text: string): ReadEmail {
  const trimmed = text.trim();
  const at = trimmed.lastIndexOf('@');
  const [local, domain] = [localPart(trimmed.slice(0, Math.max(0, at))), domainPart(trimmed.slice(at + 1))];
  if (local.kind === 'malformed' || domain.kind === 'malformed') return MALFORMED;
  if (local.kind === 'unsupported' || domain.kind === 'unsupported') return UNSUPPORTED;
  const { data } = mailboxSchema.safeParse(`${local.text}@${domain.text}`);
  return data === undefined ? MALFORMED : { kind: 'ok', email: data };
}

/** Quotes around what needs none are dropped: RFC 5321, 4.1.2 has both for the same mailbox. */
function localPart(text: string): Part {
  if (ATOMS.test(text)) return { kind: 'ok', text: text.toLowerCase() };
  const quoted = QUOTED.exec(text)?.[1]?.replace(/\\(.)/g, '$1');
  if (quoted !== undefined) return ATOMS.test(quoted) ? { kind: 'ok', text: quoted.toLowerCase() } : UNSUPPORTED;
  return ATOMS.test(text.replace(BEYOND_ASCII, 'x')) || QUOTED_BEYOND_ASCII.test(text) ? UNSUPPORTED : MALFORMED;
}

function domainPart(text: string): Part {
  if (ADDRESS_LITERAL.test(text)) return UNSUPPORTED;
  if (text === '' || NOT_OF_HOSTS.test(text)) return MALFORMED;
  const ascii = domainToASCII(text);
  const labels = ascii.split('.');
  if (ascii === '' || labels.includes('')) return MALFORMED;
  return labels.length < 2 || NUMERIC.test(labels.at(-1) ?? '') ? UNSUPPORTED : { kind: 'ok', text: ascii };
}

const typed = z.string().max(1_000).meta({ format: 'idn-email' });
const MESSAGES = { malformed: 'is no e-mail address', unsupported: 'no mail can be sent to such an address' } as const;

/** An address that somebody is to have. What cannot be mailed to is refused with `email_unsupported`. */
export const emailSchema = typed.transform((text, context) => {
  const read = readEmail(text);
  if (read.kind === 'ok') return read.email;
  return refused(read.kind, context);
});

/** An address that an account is looked for by: also one that 0.1 took and RFC 5321 does not. */
export const emailLookupSchema = typed.transform((text, context) => {
  const read = readEmail(text);
  if (read.kind === 'ok') return read.email;
  const { data } = recipientSchema.safeParse(text.trim().toLowerCase());
  return data ?? refused(read.kind, context);
});

function refused(kind: 'malformed' | 'unsupported', context: z.core.$RefinementCtx): never {
  const params = kind === 'unsupported' ? { refusal: 'email_unsupported' } : {};
  context.addIssue({ code: 'custom', message: MESSAGES[kind], params, input: undefined });
  return z.NEVER;
}
