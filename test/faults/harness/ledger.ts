import type { Connection } from 'mongoose';
import { decodeEntry, type LogEntry, type StoredEntry } from '#audit-log';
import { type EventType, GUARD_LIMITS } from '#contracts';
import type { GuardDocument } from '#guard';
import type { Attempted } from './people.js';
import { until } from './time.js';
import { tally } from './words.js';

const END_TYPES: readonly EventType[] = ['success', 'enrolled', 'failed', 'cancelled', 'expired', 'abandoned', 'error'];
/** Which end of an attempt a client may have been told, for each event it may have left. */
const TOLD: Partial<Record<EventType, readonly string[]>> = {
  success: ['verified', 'expired'],
  enrolled: ['enrolled'],
  failed: ['not_verified', 'locked', 'retry'],
  expired: ['expired', 'not_verified', 'locked'],
  abandoned: ['expired', 'not_verified', 'locked', 'retry', 'cancelled'],
  cancelled: ['cancelled', 'locked'],
  error: ['error'],
};

/** The truth as the database has it when everything has come to rest: guards, and the log of events. */
export class Ledger {
  private constructor(
    readonly guards: ReadonlyMap<string, GuardDocument>,
    /** Of each user, in the order of the log. */
    readonly events: ReadonlyMap<string, readonly LogEntry[]>,
  ) {}

  /** Waits until no attempt is live and no outbox waits. What stays live past that is for `problems` to say. */
  static async settled(db: Connection, withinMs: number): Promise<Ledger> {
    const guards = db.collection<GuardDocument>('face_guards');
    const restless = { $or: [{ hasDue: true }, { hasOutbox: true }] };
    await until('all attempts ended and drained', async () => (await guards.countDocuments(restless)) === 0, withinMs)
      .catch(() => undefined); // prettier-ignore
    return Ledger.read(db);
  }

  static async read(db: Connection): Promise<Ledger> {
    const guards = await db.collection<GuardDocument>('face_guards').find().toArray();
    const subjects = await db.collection<{ _id: string; pseudonym?: string }>('subjects').find().toArray();
    const userOf = new Map(subjects.map(({ _id, pseudonym }) => [pseudonym, _id]));
    const rows = await db.collection<StoredEntry>('face_auth_events').find().toArray();
    const events = new Map<string, LogEntry[]>(guards.map(({ _id }) => [_id, []]));
    for (const row of rows.sort((a, b) => a.seq - b.seq)) {
      const entry = decodeEntry(row.entry);
      const userId = entry && userOf.get(entry.subjectPseudonym ?? '');
      if (userId) events.get(userId)?.push(entry);
    }
    return new Ledger(new Map(guards.map((guard) => [guard._id, guard])), events);
  }

  endsOf(userId: string, attemptId: string): LogEntry[] {
    const events = this.events.get(userId) ?? [];
    return events.filter((event) => event.attemptId === attemptId && END_TYPES.includes(event.type));
  }

  count(type: EventType): number {
    return [...this.events.values()].flat().filter((event) => event.type === type).length;
  }

  /** How attempts ended by the log, in words. */
  recorded(attempts: readonly Attempted[]): string {
    return tally(
      attempts.flatMap(({ userId, attemptId }) => this.endsOf(userId, attemptId ?? '').map(({ type }) => type)),
    );
  }

  /** Whatever does not add up: an empty list is what every scenario wants. */
  problems(attempts: readonly Attempted[]): string[] {
    return [...attempts.flatMap((attempt) => this.ofAttempt(attempt)), ...[...this.guards.values()].flatMap((guard) => this.ofGuard(guard))];
  } // prettier-ignore

  /** Attempts whose script was without fault and that cost a strike all the same. */
  chargedUnjustly(attempts: readonly Attempted[]): Attempted[] {
    return attempts.filter(({ userId, attemptId, script }) => {
      const good = (script.person ?? 'owner') === 'owner' && (script.verdict?.kind ?? 'done') === 'done';
      return good && attemptId !== null && this.endsOf(userId, attemptId).some(({ charged }) => charged);
    });
  }

  private ofAttempt({ userId, attemptId, status, granted }: Attempted): string[] {
    if (attemptId === null) return [];
    const ends = this.endsOf(userId, attemptId);
    const problems =
      ends.length === 1 ? [] : [`attempt ${attemptId} has ${ends.length} events of its end, told ${status}`];
    const [end] = ends;
    if (status === 'lost') problems.push(`attempt ${attemptId}: its client was never told the end`);
    else if (end && /^[a-z]/.test(status) && !TOLD[end.type]?.includes(status))
      problems.push(`attempt ${attemptId}: told ${status}, recorded ${end.type}`);
    if (granted && end?.type !== 'success') problems.push(`attempt ${attemptId}: a grant without its event`);
    return problems;
  }

  /** Adds the guard's own counters up again from the log. */
  private ofGuard(guard: GuardDocument): string[] {
    const problems: string[] = [];
    const own = this.events.get(guard._id) ?? [];
    const about = `user ${guard._id}`;
    if (guard.reservation) problems.push(`${about}: attempt ${guard.reservation.attemptId} was never settled`);
    if (guard.outbox.length > 0) problems.push(`${about}: ${guard.outbox.length} events wait`);
    const ids = own.map(({ eventId }) => eventId);
    if (new Set(ids).size !== ids.length) problems.push(`${about}: an event twice in the log`);
    let strikes = 0;
    let consecutive = 0;
    let lockedAt = -Infinity;
    for (const event of own) {
      if (event.type === 'success') {
        if (Date.parse(event.ts) < lockedAt + GUARD_LIMITS.lockMinutes * 60_000)
          problems.push(`${about}: success while locked`);
        strikes = consecutive = 0;
      }
      if (event.type === 'enrolled') consecutive = 0;
      if (event.charged) {
        strikes += 1;
        consecutive += 1;
      }
      if (event.type === 'locked') {
        if (strikes !== GUARD_LIMITS.strikesToLock) problems.push(`${about}: locked at ${strikes} strikes`);
        strikes = 0;
        lockedAt = Date.parse(event.ts);
      }
    }
    if (strikes !== guard.strikes) problems.push(`${about}: ${guard.strikes} strikes, by the log ${strikes}`);
    if (consecutive !== guard.consecutiveStrikes)
      problems.push(`${about}: ${guard.consecutiveStrikes} strikes in a row, by the log ${consecutive}`);
    return problems;
  }
}
