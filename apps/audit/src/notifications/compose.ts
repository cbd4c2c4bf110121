import type { MailLocale, MailRow, MailTemplate } from '#contracts';
import { type MailContent, type RenderedMail, render } from './render.js';
import { GERMAN } from './templates.de.js';
import { type MailContext, type MailSecret, TEMPLATES } from './templates.js';

export type Composed = { kind: 'composed'; mail: RenderedMail } | { kind: 'refused'; reason: 'no_secret' };

/** A template as seen from outside the table, where its parameters are not known yet. */
interface AnyTemplate {
  params: { parse(params: unknown): unknown };
  secret: MailSecret;
  usefulMinutes?: number;
  content: Content;
}
type Content = (params: unknown, context: MailContext, secret: string | undefined) => MailContent;
// The table's own types tie parameters and secret to each template; which one a row names is known only now.
const template = (name: MailTemplate): AnyTemplate => TEMPLATES[name] as AnyTemplate;

const contentOf = (name: MailTemplate, locale: MailLocale): Content =>
  locale === 'de' ? (GERMAN[name] as Content) : template(name).content;

/** The mail of a row. `secret` is the opened token or code, for the templates that use one. */
export function compose(
  row: Pick<MailRow, 'template' | 'params'>,
  context: MailContext,
  secret: string | undefined,
  locale: MailLocale,
): Composed {
  const { params, secret: needsSecret } = template(row.template);
  if (needsSecret !== 'none' && !secret) return { kind: 'refused', reason: 'no_secret' };
  return {
    kind: 'composed',
    mail: render(contentOf(row.template, locale)(params.parse(row.params), context, secret), locale),
  };
}

/** Where the token or code of such a mail comes from. */
export const secretOf = (name: MailTemplate): MailSecret => template(name).secret;

/** Whether a mail written at `createdAt` is still worth sending. */
export function isUseful(name: MailTemplate, createdAt: Date, now: Date): boolean {
  const { usefulMinutes } = template(name);
  return usefulMinutes === undefined || now.getTime() - createdAt.getTime() < usefulMinutes * 60_000;
}

/** The same for every try, so that a mail server or reader that gets it twice can tell. Only characters of a dot-atom. */
export const messageIdOf = (mailId: string): string => `<${mailId.replace(/[^A-Za-z0-9.+_-]/g, '_')}@countersign>`;
