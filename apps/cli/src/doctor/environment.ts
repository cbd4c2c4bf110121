import { z } from 'zod';
import { ConfigError, env, keyFiles, parseEnv } from '#config';
import { bad, type Finding, note, ok } from './check.js';

const keys = env.keySet.optional();
const schema = z.object({
  MONGODB_URI: env.mongoUri,
  REDIS_URL: env.redisUrl,
  REDIS_BLOB_URL: env.redisUrl.optional(),
  SMTP_URL: env.smtpUrl.optional(),
  PUBLIC_URL: env.publicUrl.optional(),
  MODEL_MANIFEST: env.path.default('models/manifest.json'),
  SESSION_KEY: keys,
  MAIL_KEY: env.keySet.optional(),
  FRAME_PUBLIC_KEY: keys,
  FRAME_PRIVATE_KEYS: keys,
  RESULT_PUBLIC_KEYS: keys,
  RESULT_PRIVATE_KEY: keys,
  SIMILARITY_PUBLIC_KEY: keys,
  SIMILARITY_PRIVATE_KEYS: keys,
  EVIDENCE_KEY: keys,
  TEMPLATE_KEK: keys,
  EVENT_KEK: env.keySet.optional(),
  EVENT_MAC_KEY: env.keySet.optional(),
  CHECKPOINT_KEY: env.key32.optional(),
  AUDIT_SHARED_SECRET: env.secret.optional(),
  AUDIT_CHECKPOINT_FILE: env.path.optional(),
  AUDIT_CHECKPOINT_PIN: env.path.optional(),
  NODE_ENV: env.nodeEnv,
  ERASURE_HOLD_HOURS: env.hours.optional(),
  ALLOW_OLD_REDIS: env.allowOld,
  ALLOW_OLD_MONGODB: env.allowOld,
});
export type Environment = z.infer<typeof schema>;

/** What can be read of the environment, and what is wrong with the rest: one line a variable, never a value. */
export function environment(source: Readonly<Record<string, string | undefined>>): {
  given: Environment | null;
  findings: Finding[];
} {
  try {
    return {
      given: parseEnv(schema, source),
      findings: [ok('configuration', 'every variable that is set can be read')],
    };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const findings = error.problems.map(({ variable, must }) =>
      bad('configuration', `${variable}: ${must}`, `set ${variable} as it says`),
    );
    return { given: null, findings };
  }
}

/** Whether audit can compare what it published with the database when it starts. */
export function checkpoints({
  AUDIT_CHECKPOINT_FILE: file,
  AUDIT_CHECKPOINT_PIN: pin,
  NODE_ENV,
}: Environment): Finding {
  const check = 'published checkpoints';
  if (file !== undefined && file !== 'stdout') return ok(check, `kept in ${file}`);
  if (pin !== undefined) return ok(check, `on standard output, the last one kept in ${pin}`);
  const finding = file === 'stdout' && NODE_ENV === 'production' ? bad : note;
  return finding(
    check,
    file === 'stdout' ? 'on standard output only' : 'AUDIT_CHECKPOINT_FILE is not set here',
    'where audit runs set AUDIT_CHECKPOINT_FILE or AUDIT_CHECKPOINT_PIN to a file on a volume of its own: else a database that was emptied or put back is signed anew',
  );
}

/** Whether somebody who is signed in as another can erase him before he hears of it. Nothing to say where none is set. */
export function erasureHold({ ERASURE_HOLD_HOURS: hours }: Environment): Finding[] {
  if (hours !== 0) return [];
  const found = 'ERASURE_HOLD_HOURS is 0: an erasure cannot be stopped once it was asked for';
  return [note('erasure', found, 'give people the 72 hours of the default, unless accounts here are worth nothing')];
}

/** Files with secrets: there, and nobody else's to read. The process's own groups may, as mounted secrets have it. */
export function secretFiles(source: Readonly<Record<string, string | undefined>>): Finding[] {
  const files = keyFiles(source);
  if (files.length === 0)
    return [note('key files', 'none: keys are in variables', 'in production give each as X_FILE')];
  const groups = [process.getgid?.(), ...(process.getgroups?.() ?? [])];
  return files.map(({ variable, file, access }) => {
    if (access === null) return bad('key files', `${variable}_FILE names a file that is not there`, `make ${file}`);
    const { mode, gid } = access;
    if ((mode & 0o077) === 0) return ok('key files', `${variable}: readable by its owner only`);
    const found = `${variable}: others may read its file (mode ${mode.toString(8)})`;
    if ((mode & 0o037) !== 0) return bad('key files', found, `chmod 600 ${file}`);
    if (groups.includes(gid)) return ok('key files', `${variable}: readable by its owner and this process's group`);
    return bad('key files', `${variable}: a group that is not this process's may read its file`, `chmod 600 ${file}`);
  });
}
