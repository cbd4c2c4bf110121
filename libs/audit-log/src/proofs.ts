import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import {
  type EventProof,
  type KnownOfEvent,
  type OutboxEvent,
  type Personal,
  PROVEN_FIELDS,
  type ProvenField,
  type SealedPersonal,
} from '#contracts';
import type { KeySet } from '#sealing';

const LABEL = 'countersign/event-proof';
/** Written by the update that decides an attempt, long after its begin: by itself it opens with the person's key or not. */
const LATER_PART = 'similarity';

/**
 * That an event in an outbox comes from one of our processes and not from whoever writes in the database: a MAC over what
 * its process knew beforehand. Its key is in no database. What the update computes is not covered: the time, whether an
 * attempt was charged, which of the types it may choose among, epochs and counts.
 */
export class EventProofs {
  /** The first makes, all of them verify. */
  private readonly keys: Buffer[];

  constructor(keys: KeySet) {
    this.keys = keys.map(({ bytes }) => Buffer.from(hkdfSync('sha256', bytes, '', LABEL, 32)));
  }

  /** `userId`: whose it will be; null for nobody's. */
  make(userId: string | null, eventId: string, known: KnownOfEvent, sealed: SealedPersonal): EventProof {
    const fields = known.fields ?? {};
    const names = PROVEN_FIELDS.filter((name) => fields[name] !== undefined);
    const claim = { types: [...known.types], fields: names, ...(known.isOlder ? { older: true as const } : {}) };
    const event = { ...fields, eventId, userId, sealed };
    return { ...claim, mac: this.macs(event, claim)[0] ?? '' };
  }

  holds(event: OutboxEvent): boolean {
    const proof = event.sealed?.proof;
    if (!proof?.types.includes(event.type)) return false;
    const given = Buffer.from(proof.mac, 'base64url');
    return this.macs(event, proof).some((mac) => {
      const made = Buffer.from(mac, 'base64url');
      return made.length === given.length && timingSafeEqual(made, given);
    });
  }

  private macs(
    event: Pick<OutboxEvent, 'eventId' | 'userId' | 'sealed'> & KnownOfEvent['fields'],
    { types, fields, older }: Omit<EventProof, 'mac'>,
  ): string[] {
    const { parts, tags } = event.sealed ?? { parts: [], tags: [] };
    const text = JSON.stringify([
      older ? 'older' : 'event',
      event.eventId,
      event.userId,
      types,
      fields.map((name) => [name, sorted(event[name])]),
      parts.filter(({ part }) => part !== LATER_PART).map(({ part, data }) => [part, data]),
      tags,
    ]);
    return this.keys.map((key) => createHmac('sha256', key).update(text).digest('base64url'));
  }
}

/** Without a key of the log, as the command line: it has nothing personal to say, and says that by a proof. */
export function createProofSealer(proofs: EventProofs | null) {
  return {
    of: (userId: string) =>
      Promise.resolve({
        event: (eventId: string, personal: Personal, known: KnownOfEvent): SealedPersonal => {
          if (Object.values(personal).some((value) => value !== undefined))
            throw new Error('no key to seal an event with');
          const sealed = { parts: [], tags: [] };
          return proofs ? { ...sealed, proof: proofs.make(userId, eventId, known, sealed) } : sealed;
        },
        mail: () => null,
      }),
  };
}

/** What waits since before there was a key, as `migrate` finds it: all of it is covered as it stands. */
export function proofOfOlder(proofs: EventProofs, event: OutboxEvent): EventProof {
  const fields = Object.fromEntries(PROVEN_FIELDS.map((name: ProvenField) => [name, event[name]]));
  const { parts = [], tags = [] } = event.sealed ?? {};
  return proofs.make(event.userId, event.eventId, { types: [event.type], fields, isOlder: true }, { parts, tags });
}

/** By names, as a database need not keep their order. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Date || Array.isArray(value)) return value;
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
}
