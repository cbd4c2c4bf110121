import { z } from 'zod';

/** A configuration that does not parse. The message names each bad variable and what it must be, never its value. */
export class ConfigError extends Error {
  constructor(readonly problems: readonly { variable: string; must: string }[]) {
    super(`bad configuration:\n${problems.map((p) => `  ${p.variable}: ${p.must}`).join('\n')}`);
    this.name = 'ConfigError';
  }
}

const url = (what: string, protocols: readonly string[]) =>
  z.string(`must be set: ${what}`).refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    error: `must be ${what}`,
  });

/** Fragments that configuration schemas are made of. */
export const env = {
  redisUrl: url('a redis:// or rediss:// URL', ['redis:', 'rediss:']),
  mongoUri: url('a mongodb:// or mongodb+srv:// URI', ['mongodb:', 'mongodb+srv:']),
  smtpUrl: url('an smtp:// or smtps:// URL', ['smtp:', 'smtps:']),
  publicUrl: url('an http:// or https:// URL', ['http:', 'https:']),
  host: z.string().min(1, 'must be a host name or address'),
  /** A TCP port; 0 lets the system choose. */
  port: z.coerce.number('must be a port').int('must be a port').min(0, 'must be a port').max(65_535, 'must be a port'),
  /** A secret of 32 random bytes, base64url; a Buffer after parsing. */
  key32: z
    .string('must be set: 32 random bytes, base64url')
    .transform((text) => Buffer.from(text, 'base64url'))
    .refine((bytes) => bytes.length === 32, { error: 'must be 32 random bytes, base64url' }),
  /** A shared secret that is compared as text. */
  secret: z.string('must be set').min(32, 'must have at least 32 characters'),
  /** A file or folder; whether it exists is found out by who opens it. */
  path: z.string().min(1, 'must be a path'),
  count: z.coerce.number('must be a whole number of at least 1').int().min(1, 'must be a whole number of at least 1'),
  logLevel: z.enum(['debug', 'info', 'warn', 'error'], 'must be debug, info, warn or error').default('info'),
} as const;

/**
 * Parses the process environment. The only place that reads it.
 *
 * @throws ConfigError naming every bad variable.
 */
export function parseEnv<S extends z.ZodObject>(
  schema: S,
  source: Record<string, string | undefined> = process.env,
): z.output<S> {
  // An empty variable is an unset one: `FOO= cmd` must not defeat a default.
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new ConfigError(
    parsed.error.issues.map((issue) => ({ variable: issue.path.join('.') || 'environment', must: issue.message })),
  );
}
