import { z } from 'zod';

/**
 * The language of a tag, with script and region as far as they are known: BCP 47 with whatever extensions, and as POSIX
 * systems write it (`de_DE.UTF-8`). Undefined for what names no language: a hint is never a reason to refuse a person.
 */
export function localeOf(text: string): string | undefined {
  const [tag = ''] = text.trim().replaceAll('_', '-').split(/[.@]/);
  // An extended language (`zh-cmn`) names the language a second time, and `Intl` knows none.
  const plain = tag.replace(/^([A-Za-z]{2,3})(?:-[A-Za-z]{3})+(?=-|$)/, '$1');
  const known = parsed(plain) ?? parsed(/^[A-Za-z]{2,3}(?=-|$)/.exec(plain)?.[0] ?? '');
  // Of `und` the runtime says no language at all, whatever its types do.
  const language: string | undefined = known?.language;
  if (!known || !language || language === 'und' || language.length > 3) return undefined;
  return [language, known.script, known.region].filter(Boolean).join('-');
}

/** Null for what is no tag, and for the few of old that are irregular (`en-GB-oed`). */
function parsed(tag: string): Intl.Locale | null {
  try {
    return new Intl.Locale(tag);
  } catch {
    return null;
  }
}

/** A language as a client or a spreadsheet names it; undefined after parsing when it names none. */
export const localeSchema = z.string().max(255).transform(localeOf);
