import type { EventType, KnownOfEvent, Origin, Personal, Purpose, SealedPersonal } from '#contracts';
import { uuidOf } from '#sealing';

/** An event of this very request, with an id made beforehand. */
export interface SealedOrigin {
  eventId: string;
  sessionId: string | null;
  sealed: SealedPersonal;
  mail: string | null;
}

/**
 * What is personal in an event is sealed before the update that may write it: an update can put a ciphertext in its
 * place, but not make one. Nothing that the database adds (type, time, reason, charged, epoch) is personal.
 */
export interface EventSealer {
  of(userId: string): Promise<UserSealer>;
}
export interface UserSealer {
  event(eventId: string, personal: Personal, known: KnownOfEvent): SealedPersonal;
  /** Null when the user's key is gone. */
  mail(origin: Origin): string | null;
}

/** Carried by the reservation: what its end may have to say about where the attempt came from. */
export interface SealedAttempt {
  end: SealedPersonal;
  locked: SealedPersonal;
  mail: string | null;
}

/** Made from the attempt's id, so that whoever seals for one of its events knows the id before the event is written. */
export const attemptEventIds = (attemptId: string): { end: string; locked: string } => ({
  end: uuidOf(`attempt-end:${attemptId}`),
  locked: uuidOf(`attempt-locked:${attemptId}`),
});

export const personalOf = ({ deviceModel, ipAddress }: Origin): Personal => ({ deviceModel, ipAddress });

const ALWAYS = ['failed', 'error', 'expired', 'cancelled', 'abandoned'] as const satisfies readonly EventType[];
/** What the event that ends an attempt may be of. */
const END_TYPES: Record<Purpose, readonly EventType[]> = {
  verify: ['success', ...ALWAYS],
  enrol: ['enrolled', ...ALWAYS],
  practice: ALWAYS,
};

export const endTypesOf = (purpose: Purpose): readonly EventType[] => END_TYPES[purpose];

export function sealAttempt(
  { attemptId, purpose, origin }: { attemptId: string; purpose: Purpose; origin: Origin },
  seal: UserSealer,
): SealedAttempt {
  const ids = attemptEventIds(attemptId);
  const personal = personalOf(origin);
  const fields = { attemptId };
  return {
    end: seal.event(ids.end, personal, { types: endTypesOf(purpose), fields }),
    locked: seal.event(ids.locked, personal, { types: ['locked'], fields }),
    mail: seal.mail(origin),
  };
}
