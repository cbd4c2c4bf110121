import { z } from 'zod';
import { KEY_ID, type KeySet, type NamedKey } from '#sealing';
import { type Problem, productionProblems } from './production.js';
import { valuesOf } from './values.js';

/** A configuration that does not parse. The message names each bad variable and what it must be, never its value. */
export class ConfigError extends Error {
  constructor(readonly problems: readonly Problem[]) {
    super(`bad configuration:\n${problems.map((p) => `  ${p.variable}: ${p.must}`).join('\n')}`);
    this.name = 'ConfigError';
  }
}

const url = (what: string, protocols: readonly string[]) =>
  z.string(`must be set: ${what}`).refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    error: `must be ${what}`,
  });

/** Nothing behind host and port but one slash. What is no URL at all has been refused before. */
function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return true;
  const { pathname, search, hash, username, password, href } = new URL(text);
  return pathname === '/' && !/[?#]/.test(href) && search + hash + username + password === '';
}

const KEY = 'must be 32 random bytes, base64url, with or without a name before it (name:key)';
const KEYS = 'must be name:key, 32 bytes base64url each, comma separated, the one that makes first, no name twice';
const keyBytes = (text: string): Buffer => Buffer.from(text, 'base64url');
const UNNAMED = 'unnamed';

/** A lone key may do without a name. */
function namedKeys(text: string): NamedKey[] {
  const parts = text.split(/[,\s]+/).filter((part) => part !== '');
  return parts.map((part) => {
    const colon = part.indexOf(':');
    const id = colon < 0 && parts.length === 1 ? UNNAMED : part.slice(0, Math.max(0, colon));
    return { id, bytes: keyBytes(part.slice(colon + 1)) };
  });
}

const areKeys = (keys: NamedKey[]): boolean =>
  keys.length > 0 &&
  keys.every(({ id, bytes }) => KEY_ID.test(id) && bytes.length === 32) &&
  new Set(keys.map(({ id }) => id)).size === keys.length;

/** Fragments that configuration schemas are made of. */
export const env = {
  redisUrl: url('a redis:// or rediss:// URL', ['redis:', 'rediss:']),
  mongoUri: url('a mongodb:// or mongodb+srv:// URI', ['mongodb:', 'mongodb+srv:']),
  smtpUrl: url('an smtp:// or smtps:// URL', ['smtp:', 'smtps:']),
  /**
   * Pages, cookies and links are at the root of their host: a path would be kept by some of them only. After parsing the
   * origin as browsers write it, whatever the variable's own spelling (capitals, `/.`, letters beyond ASCII).
   */
  publicUrl: url('an http:// or https:// URL', ['http:', 'https:'])
    .refine(isOrigin, {
      error: 'must be an http:// or https:// URL without path, query, fragment and credentials: give it a host name of its own', // prettier-ignore
    })
    .transform((text) => (URL.canParse(text) ? new URL(text).origin : text)),
  host: z.string().min(1, 'must be a host name or address'),
  /** A TCP port; 0 lets the system choose. */
  port: z.coerce.number('must be a port').int('must be a port').min(0, 'must be a port').max(65_535, 'must be a port'),
  /** A secret of 32 random bytes, base64url; a Buffer after parsing. */
  key32: z
    .string('must be set: 32 random bytes, base64url')
    .transform(namedKeys)
    .refine((keys) => keys.length === 1 && areKeys(keys), { error: KEY })
    .transform(([key]) => key?.bytes ?? Buffer.alloc(0)),
  /** Keys with names, several while one replaces another: the first one makes, all of them open or verify. */
  keySet: z
    .string('must be set: name:key, comma separated')
    .transform(namedKeys)
    .refine(areKeys, { error: KEYS })
    .transform((keys) => keys as unknown as KeySet),
  /** A shared secret that is compared as text. */
  secret: z.string('must be set').min(32, 'must have at least 32 characters'),
  /** A file or folder; whether it exists is found out by who opens it. */
  path: z.string().min(1, 'must be a path'),
  count: z.coerce.number('must be a whole number of at least 1').int().min(1, 'must be a whole number of at least 1'),
  /** A time that may be none: in digits, as nothing and a blank would be read as 0. */
  hours: z
    .string()
    .regex(/^\d{1,3}$/, 'must be a whole number of hours, 0 to 720')
    .transform(Number)
    .refine((hours) => hours <= 720, 'must be a whole number of hours, 0 to 720'),
  /** Whether what is fit for development only is refused: `production` or anything else. */
  nodeEnv: z.string().default('development'),
  yesOrNo: z.enum(['yes', 'no'], 'must be yes or no'),
  /** Lets production run on a server whose version is old, because its builder has mended it. */
  allowOld: z.enum(['yes', 'no'], 'must be yes or no').default('no'),
  logLevel: z.enum(['debug', 'info', 'warn', 'error'], 'must be debug, info, warn or error').default('info'),
} as const;

/** As it was given: for who looks at a set-up, not for who is configured by it. */
export const givenEnvironment = (): Readonly<Record<string, string | undefined>> => process.env;

/**
 * Parses the process environment. The only place that reads it. Each variable may be given as a file instead, whose
 * name stands in the variable with `_FILE` after it. With NODE_ENV=production what is fit for development only is
 * refused (`productionProblems`).
 *
 * @throws ConfigError naming every bad variable.
 */
export function parseEnv<S extends z.ZodObject>(
  schema: S,
  source: Record<string, string | undefined> = process.env,
): z.output<S> {
  const names = Object.keys(schema.shape);
  const { given, problems } = valuesOf(names, source);
  const parsed = schema.safeParse(given);
  const issues = (parsed.error?.issues ?? []).map((issue) => ({
    variable: issue.path.join('.') || 'environment',
    must: issue.message,
  }));
  const unfit = source.NODE_ENV === 'production' ? productionProblems(names, given) : [];
  // Of each variable the first thing that is wrong: what could not be read need not be called missing, too.
  const told = new Map<string, Problem>();
  for (const problem of [...problems, ...issues, ...unfit]) {
    const about = problem.variable.replace(/_FILE$/, '');
    if (!told.has(about)) told.set(about, problem);
  }
  if (parsed.success && told.size === 0) return parsed.data;
  throw new ConfigError([...told.values()]);
}
