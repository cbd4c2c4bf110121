import { randomBytes, randomUUID } from 'node:crypto';
import type { KnownOfEvent, Origin, Personal, SealedPersonal } from '#contracts';
import { type KeySet, newestOf, openWithAny, seal, SealError } from '#sealing';
import { sealMailOrigin, sealPersonal, type SearchTags } from './personal.js';
import type { EventProofs } from './proofs.js';

/**
 * A person as the log knows him: one document of `subjects`. Destroying it is what makes his sealed payload unreadable
 * and his pseudonym nobody's; an erased one stays a while without key, so that what comes late is not taken for
 * somebody new.
 */
export interface SubjectRow {
  /** The userId; for events of nobody `nobody:<day>`. */
  _id: string;
  pseudonym?: string;
  /** AES-256-GCM under EVENT_KEK, base64url. */
  wrappedDek?: string;
  /** Name of the key that wraps it. */
  kek?: string;
  erased?: true;
}

export interface Subject {
  id: string;
  /** Null once it is forgotten. */
  pseudonym: string | null;
  /** Null once it is destroyed, and while it does not open. */
  dek: Buffer | null;
  /** There is a key and no known KEK opens it. */
  isClosed?: true;
}

/** Whose key seals an event of nobody: one for all of that day. */
const NOBODY = 'nobody:';
export const nobodyOf = (ts: string): string => `${NOBODY}${ts.slice(0, 10)}`;
const isNobody = (id: string): boolean => id.startsWith(NOBODY);

const dekAad = (id: string): string => `event-dek:v1:${id}`;

export const newSubject = (id: string, keks: KeySet): SubjectRow => ({
  _id: id,
  pseudonym: randomUUID(),
  ...wrap(id, keks, randomBytes(32)),
});

function wrap(id: string, keks: KeySet, dek: Uint8Array): Required<Pick<SubjectRow, 'wrappedDek' | 'kek'>> {
  const { id: kek, bytes } = newestOf(keks);
  return { wrappedDek: seal(bytes, dekAad(id), dek).toString('base64url'), kek };
}

/** His key under the newest KEK; null where none is left. @throws SealError */
export function rewrapped(row: SubjectRow, keks: KeySet): ReturnType<typeof wrap> | null {
  const { dek } = openSubject(row, keks);
  return dek && wrap(row._id, keks, dek);
}

/** @throws SealError when the row was wrapped by a KEK that is not among these. */
export function openSubject(row: SubjectRow, keks: KeySet): Subject {
  const subject = readSubject(row, keks);
  if (subject.isClosed) throw new SealError();
  return subject;
}

/** The same, whatever lies in the row: for whoever looks at many, of whom one must not hold up the others. */
export function readSubject({ _id: id, pseudonym, wrappedDek }: SubjectRow, keks: KeySet): Subject {
  const known = { id, pseudonym: typeof pseudonym === 'string' ? pseudonym : null };
  if (wrappedDek === undefined) return { ...known, dek: null };
  const dek = typeof wrappedDek === 'string' ? openedKey(id, wrappedDek, keks) : null;
  return dek ? { ...known, dek } : { ...known, dek, isClosed: true };
}

function openedKey(id: string, wrapped: string, keks: KeySet): Buffer | null {
  try {
    const dek = openWithAny(keks, dekAad(id), Buffer.from(wrapped, 'base64url'));
    return dek.length === 32 ? dek : null;
  } catch (error) {
    if (error instanceof SealError) return null;
    throw error;
  }
}

/** Where the rows are. */
export interface SubjectRows {
  find(ids: readonly string[]): Promise<SubjectRow[]>;
  /** Nothing happens where there is one already; on the disks of a majority when it returns. */
  insert(row: SubjectRow): Promise<void>;
}

interface Remembered {
  subject: Subject;
  until: number;
}

/** Subjects with their opened keys, made where they are not known yet. */
export class SubjectKeys {
  private readonly remembered = new Map<string, Remembered>();

  /**
   * `rememberMs`: how long an opened key may be kept, and so how long after an erasure it is still used to seal. What is
   * sealed then nobody can open: the stored key is gone.
   */
  constructor(
    private readonly rows: SubjectRows,
    private readonly keks: KeySet,
    private readonly o: { rememberMs: number; rememberMax: number },
  ) {}

  /** One whose key does not open is there, `isClosed`: he is no reason to leave out the others. */
  async resolve(ids: readonly string[]): Promise<Map<string, Subject>> {
    const found = new Map<string, Subject>();
    const wanted = [...new Set(ids)];
    for (const id of wanted) {
      const known = this.remembered.get(id);
      if (known && performance.now() < known.until) found.set(id, known.subject);
    }
    for (let round = 0; round < 2; round++) {
      const missing = wanted.filter((id) => !found.has(id));
      if (missing.length === 0) break;
      if (round > 0) await Promise.all(missing.map((id) => this.rows.insert(newSubject(id, this.keks))));
      for (const row of await this.rows.find(missing)) found.set(row._id, this.remember(readSubject(row, this.keks)));
    }
    if (found.size < wanted.length) throw new Error('a subject vanished while it was made');
    return found;
  }

  private remember(subject: Subject): Subject {
    const { rememberMs, rememberMax } = this.o;
    if (rememberMs === 0 || subject.isClosed) return subject;
    this.remembered.delete(subject.id);
    // The oldest goes: a map keeps the order of insertion.
    for (const id of this.remembered.keys()) {
      if (this.remembered.size < rememberMax) break;
      this.remembered.delete(id);
    }
    this.remembered.set(subject.id, { subject, until: performance.now() + rememberMs });
    return subject;
  }
}

/**
 * Seals under a subject's own key. Of an erased one nothing personal is kept at all.
 *
 * `closed`: what happens where there is a key and no known KEK opens it. To refuse (`of` throws SealError) loses no
 * evidence; audit leaves it out, so that erasures and other people's business go on.
 */
export function createEventSealer(
  keys: SubjectKeys,
  tags: SearchTags,
  o: { closed?: 'refuse' | 'leave_out'; proofs?: EventProofs | null } = {},
) {
  const { closed = 'refuse', proofs = null } = o;
  return {
    /** `id`: a userId, or `nobodyOf` a day. */
    async of(id: string) {
      const subject = (await keys.resolve([id])).get(id);
      if (subject?.isClosed && closed === 'refuse') throw new SealError();
      const dek = subject?.dek ?? null;
      return {
        event: (eventId: string, personal: Personal, known: KnownOfEvent): SealedPersonal => {
          const sealed = dek
            ? { parts: sealPersonal(eventId, personal, dek), tags: tags.of(personal) }
            : { parts: [], tags: [] };
          return proofs ? { ...sealed, proof: proofs.make(isNobody(id) ? null : id, eventId, known, sealed) } : sealed;
        },
        mail: (origin: Origin): string | null => dek && sealMailOrigin(id, origin, dek),
      };
    },
  };
}
