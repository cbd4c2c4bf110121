import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const NAMES = ['auditSharedSecret', 'sessionKey', 'mailKey', 'templateKek'] as const;

export type Keys = Record<(typeof NAMES)[number], string>;

/** Development keys, made once: with other keys stored templates and sessions could not be opened after a restart. */
export function developmentKeys(dir: string): Keys {
  const file = path.join(dir, 'keys.json');
  const known = read(file);
  const keys = Object.fromEntries(
    NAMES.map((name) => [name, known[name] ?? randomBytes(32).toString('base64url')]),
  ) as Keys;
  if (NAMES.every((name) => known[name])) return keys;
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  fs.writeFileSync(`${file}.new`, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600 });
  fs.renameSync(`${file}.new`, file);
  return keys;
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
