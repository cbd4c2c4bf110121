import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

/** Of the pairs (frame, result, similarity) the private halves; the public ones are computed from them. */
const NAMES = [
  'auditSharedSecret',
  'sessionKey',
  'mailKey',
  'templateKek',
  'evidenceKey',
  'frameKey',
  'resultKey',
  'similarityKey',
  'eventKek',
  'eventMacKey',
  'checkpointKey',
] as const;

export type Keys = Record<(typeof NAMES)[number], string>;

/**
 * Development keys, made once: with other keys stored templates and sessions could not be opened after a restart. Their
 * names begin with `dev`, by which production refuses them.
 */
export function developmentKeys(dir: string): Keys {
  const file = path.join(dir, 'keys.json');
  const known = read(file);
  const keys = Object.fromEntries(NAMES.map((name) => [name, known[name] ?? developmentKey(name)])) as Keys;
  if (NAMES.every((name) => known[name])) return keys;
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  fs.writeFileSync(`${file}.new`, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600 });
  fs.renameSync(`${file}.new`, file);
  return keys;
}

function developmentKey(name: (typeof NAMES)[number]): string {
  const made = `dev-${new Date().toISOString().slice(0, 10).replaceAll('-', '')}`;
  return `${made}${name === 'auditSharedSecret' ? '-' : ':'}${randomBytes(32).toString('base64url')}`;
}

/** A damaged file is an error and not a reason for new keys: those would make the stored data useless. */
function read(file: string): Partial<Keys> {
  if (!fs.existsSync(file)) return {};
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8')) as Partial<Keys>;
  } catch (cause) {
    throw new Error(`${file} is damaged; repair it, or delete it together with the data beside it`, { cause });
  }
}
