import type { mongo } from 'mongoose';
import { type EventProofs, proofOfOlder } from '#audit-log';
import { outboxEventSchema, purposeSchema } from '#contracts';
import { attemptEventIds, endTypesOf, type GuardDocument } from '#guard';

interface SystemOutboxRow {
  _id: string;
  entries: unknown[];
  hasOutbox: boolean;
}
type Sealed = Parameters<EventProofs['make']>[3];

/**
 * What lies in outboxes, and what a live attempt will leave there, was written before there was a key. It is vouched for
 * as it stands now, so stop the processes of the version before first: what they write afterwards has no proof.
 */
export async function markOlderEvents(db: mongo.Db, proofs: EventProofs): Promise<void> {
  const guards = db.collection<GuardDocument>('face_guards');
  for await (const guard of guards.find({ $or: [{ hasOutbox: true }, { hasDue: true }] })) {
    for (const entry of guard.outbox) {
      const marked = entry.kind === 'event' && sealedOlder(entry.event, proofs);
      if (!marked) continue;
      const event = { $mergeObjects: ['$$one.event', { sealed: { $literal: marked.sealed } }] };
      const isIt = { $eq: ['$$one.event.eventId', { $literal: marked.eventId }] };
      await guards.updateOne({ _id: guard._id }, [{ $set: { outbox: inEach('$outbox', isIt, { event }) } }]);
    }
    await markAttempt(guards, guard, proofs);
  }
  const outboxes = db.collection<SystemOutboxRow>('system_outboxes');
  for await (const { _id, entries } of outboxes.find({ hasOutbox: true })) {
    for (const entry of entries) {
      const marked = sealedOlder(entry, proofs);
      if (!marked) continue;
      const isIt = { $eq: ['$$one.eventId', { $literal: marked.eventId }] };
      const sealed = { $literal: marked.sealed };
      await outboxes.updateOne({ _id }, [{ $set: { entries: inEach('$entries', isIt, { sealed }) } }]);
    }
  }
}

const inEach = (input: string, isIt: object, more: object): mongo.Document => ({
  $map: { input, as: 'one', in: { $cond: [isIt, { $mergeObjects: ['$$one', more] }, '$$one'] } },
});

/** Null for what has a proof, and for what is no event: that stays malformed. */
function sealedOlder(raw: unknown, proofs: EventProofs): { eventId: string; sealed: Sealed } | null {
  const { data: event } = outboxEventSchema.safeParse(raw);
  if (!event || event.sealed?.proof) return null;
  const { parts = [], tags = [] } = event.sealed ?? {};
  return { eventId: event.eventId, sealed: { parts, tags, proof: proofOfOlder(proofs, event) } };
}

/** The events that end it are written by an update that knows what was sealed at its begin. */
async function markAttempt(
  guards: mongo.Collection<GuardDocument>,
  { _id: userId, reservation }: GuardDocument,
  proofs: EventProofs,
): Promise<void> {
  const { data: purpose } = purposeSchema.safeParse(reservation?.purpose);
  if (!reservation || !purpose || reservation.sealed.end.proof) return;
  const { attemptId, sealed } = reservation;
  const ids = attemptEventIds(attemptId);
  const fields = { attemptId };
  const end = proofs.make(userId, ids.end, { types: endTypesOf(purpose), fields, isOlder: true }, sealed.end);
  const locked = proofs.make(userId, ids.locked, { types: ['locked'], fields, isOlder: true }, sealed.locked);
  const set = { 'reservation.sealed.end.proof': end, 'reservation.sealed.locked.proof': locked };
  await guards.updateOne({ _id: userId, 'reservation.attemptId': attemptId }, { $set: set });
}
