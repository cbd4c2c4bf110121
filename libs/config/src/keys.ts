import { statSync } from 'node:fs';
import { valuesOf } from './values.js';

/** Every variable that holds keys, and what they are for. */
export const KEY_PURPOSES = {
  SESSION_KEY: 'session records and other keyed digests (HMAC)',
  MAIL_KEY: 'secrets in mails that wait (AES-256-GCM)',
  FRAME_PUBLIC_KEY: 'seals frames to the workers (X25519, public)',
  FRAME_PRIVATE_KEYS: 'opens frames (X25519, private)',
  RESULT_PRIVATE_KEY: 'signs results (Ed25519, private)',
  RESULT_PUBLIC_KEYS: 'verifies results (Ed25519, public)',
  SIMILARITY_PUBLIC_KEY: 'seals similarities to the gateways (X25519, public)',
  SIMILARITY_PRIVATE_KEYS: 'opens similarities (X25519, private)',
  EVIDENCE_KEY: 'evidence between workers (AES-256-GCM)',
  TEMPLATE_KEK: 'wraps the keys of templates (AES-256-GCM)',
  EVENT_KEK: "wraps the keys of events' personal parts (AES-256-GCM)",
  EVENT_MAC_KEY: 'shows that an event was made by a process (HMAC)',
  CHECKPOINT_KEY: 'signs checkpoints of the audit log (Ed25519, private)',
  AUDIT_SHARED_SECRET: 'names the gateway to the audit service',
} as const;
export type KeyVariable = keyof typeof KEY_PURPOSES;

export interface KnownKey {
  variable: KeyVariable;
  id: string;
  /** By the date in its name (YYYYMMDD), else of its file; null when neither tells. */
  madeAt: Date | null;
  /** Whether it is the one that makes; the others only open or verify. */
  makes: boolean;
}

/** The keys in an environment: names and ages, never a byte of one. */
export function knownKeys(source: Record<string, string | undefined> = process.env): KnownKey[] {
  const variables = Object.keys(KEY_PURPOSES) as KeyVariable[];
  const { given } = valuesOf(variables, source);
  return variables.flatMap((variable) => {
    const file = source[`${variable}_FILE`];
    return (given[variable] ?? '')
      .split(/[,\s]+/)
      .filter((part) => part !== '')
      .map((part, index) => {
        // Without a colon everything is the secret, and nothing of it is a name.
        const id = part.includes(':') ? part.slice(0, part.indexOf(':')) : 'unnamed';
        return { variable, id, madeAt: dateOf(id) ?? (file ? statSync(file).mtime : null), makes: index === 0 };
      });
  });
}

/** Files that hold keys, with their permission bits and group; null for one that is not there. */
export function keyFiles(
  source: Record<string, string | undefined> = process.env,
): { variable: string; file: string; access: { mode: number; gid: number } | null }[] {
  return Object.keys(KEY_PURPOSES).flatMap((variable) => {
    const file = source[`${variable}_FILE`];
    if (!file) return [];
    const stat = statSync(file, { throwIfNoEntry: false });
    return [{ variable, file, access: stat ? { mode: stat.mode & 0o777, gid: stat.gid } : null }];
  });
}

function dateOf(id: string): Date | null {
  const [, year, month, day] = /(?<!\d)(20\d\d)(\d\d)(\d\d)(?!\d)/.exec(id) ?? [];
  const date = new Date(`${year}-${month}-${day}T00:00:00Z`);
  return Number.isNaN(date.getTime()) ? null : date;
}
