import { ACR, type BoundFrom, reached } from '#contracts';
import type { SessionRecord } from '../sessions/session-record.js';

/** How long a session's proof counts for binding a first face. */
const PROOF_MS = 30 * 60_000;

/** What a new face will be: from what it was bound, and whether it is held before it raises anything. */
export interface Binding {
  boundFrom: BoundFrom;
  hold: boolean;
}

interface Enrolment {
  record: Pick<SessionRecord, 'methods' | 'provedAt'>;
  /** Whether there ever was a factor beside the password. */
  everHadFactor: boolean;
  /** From what the face was bound that this one replaces. */
  former: BoundFrom | null;
  /** Whether a first face must be proved: by the operator's setting, and of staff always. */
  isProved: boolean;
  /** Whether the account's address was just given back or replaced, so that nobody knows yet whose it is. */
  isHeld: boolean;
  /** Ms since 1970. */
  now: number;
}

/**
 * A face is bound by more than the password that it is to outrank. The first one counts at once in a session that itself
 * proved whose it is within 30 minutes; a later one in a session that has shown the face before it. Else it is held.
 */
export function bindingOf(enrolment: Enrolment): Binding {
  const { boundFrom, hold } = bindingByProof(enrolment);
  return { boundFrom, hold: hold || enrolment.isHeld };
}

function bindingByProof({ record, everHadFactor, former, isProved, now }: Enrolment): Binding {
  const levels = reached(record.methods, now);
  if (everHadFactor) {
    const isFace = levels.some(({ acr }) => acr === ACR.face);
    // A face that came from a password alone makes no better one of the next.
    if (isFace) return { boundFrom: (former ?? 'pwd') === 'pwd' ? 'pwd' : 'face', hold: false };
    const isRecovery = levels.some(({ acr }) => acr === ACR.recovery);
    return { boundFrom: isRecovery ? 'recovery' : 'pwd', hold: true };
  }
  const isRecent = (at: number | null | undefined): boolean => at != null && now - at <= PROOF_MS;
  if (isRecent(levels.find(({ acr }) => acr === ACR.recovery)?.at)) return { boundFrom: 'recovery', hold: false };
  if (isRecent(record.provedAt)) return { boundFrom: 'invitation', hold: false };
  return { boundFrom: 'pwd', hold: isProved };
}
