import type { Origin, Personal, SealedPersonal } from '#contracts';
import { uuidOf } from '#sealing';

/**
 * What is personal in an event is sealed before the update that may write it: an update can put a ciphertext in its
 * place, but not make one. Nothing that the database adds (type, time, reason, charged, epoch) is personal.
 */
export interface EventSealer {
  of(userId: string): Promise<UserSealer>;
}
export interface UserSealer {
  event(eventId: string, personal: Personal): SealedPersonal;
  /** Null when the user's key is gone. */
  mail(origin: Origin): string | null;
}

/** For whoever has no key, as the operator's command line: it has nothing personal to say. */
export const nothingPersonal: EventSealer = {
  of: () =>
    Promise.resolve({
      event: (_eventId: string, personal: Personal): SealedPersonal => {
        if (Object.values(personal).some((value) => value !== undefined))
          throw new Error('no key to seal an event with');
        return { parts: [], tags: [] };
      },
      mail: () => null,
    }),
};

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

export function sealAttempt(attemptId: string, origin: Origin, seal: UserSealer): SealedAttempt {
  const ids = attemptEventIds(attemptId);
  const personal = personalOf(origin);
  return { end: seal.event(ids.end, personal), locked: seal.event(ids.locked, personal), mail: seal.mail(origin) };
}
