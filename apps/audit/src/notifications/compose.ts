import type { MailLocale, MailRow, MailTemplate } from '#contracts';
import { type MailContent, type RenderedMail, render } from './render.js';
import { GERMAN } from './templates.de.js';
import { type MailContext, type MailSecret, type MailSecrets, TEMPLATES } from './templates.js';

export type Composed = { kind: 'composed'; mail: RenderedMail } | { kind: 'refused'; reason: 'no_secret' };

/** A template as seen from outside the table, where its parameters are not known yet. */
interface AnyTemplate {
  params: { parse(params: unknown): unknown };
  secret: MailSecret;
  usefulMinutes?: number;
  content: Content;
}
type Content = (params: unknown, context: MailContext, secret: unknown) => MailContent;
// The table's own types tie parameters and secret to each template; which one a row names is known only now.
const template = (name: MailTemplate): AnyTemplate => TEMPLATES[name] as AnyTemplate;

const contentOf = (name: MailTemplate, locale: MailLocale): Content =>
  locale === 'de' ? (GERMAN[name] as Content) : template(name).content;

/** The mail of a row. `secrets`: the opened token or code, and that of the link "not me", for the templates that use them. */
export function compose(
  row: Pick<MailRow, 'template' | 'params'>,
  context: MailContext,
  secrets: MailSecrets,
  locale: MailLocale,
): Composed {
  const { params, secret: needs } = template(row.template);
  if ((hasSealed(needs) && !secrets.sealed) || (hasNotMe(needs) && !secrets.undo))
    return { kind: 'refused', reason: 'no_secret' };
  const secret = needs === 'sealed+not_me' ? secrets : needs === 'not_me' ? secrets.undo : secrets.sealed;
  return {
    kind: 'composed',
    mail: render(contentOf(row.template, locale)(params.parse(row.params), context, secret), locale),
  };
}

const hasSealed = (secret: MailSecret): boolean => secret.startsWith('sealed');
const hasNotMe = (secret: MailSecret): boolean => secret.endsWith('not_me');

/** Whether such a mail has the link by which its reader undoes what it tells of. */
export const isUndoable = (name: MailTemplate): boolean => hasNotMe(template(name).secret);

/** Whether a mail written at `createdAt` is still worth sending. */
export function isUseful(name: MailTemplate, createdAt: Date, now: Date): boolean {
  const { usefulMinutes } = template(name);
  return usefulMinutes === undefined || now.getTime() - createdAt.getTime() < usefulMinutes * 60_000;
}

/** The same for every try, so that a mail server or reader that gets it twice can tell. Only characters of a dot-atom. */
export const messageIdOf = (mailId: string): string => `<${mailId.replace(/[^A-Za-z0-9.+_-]/g, '_')}@countersign>`;
