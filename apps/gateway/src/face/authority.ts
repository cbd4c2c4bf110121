import { ACR } from '#contracts';
import type { GuardStore, GuardSummary } from '#guard';
import { Problem } from '../http/problem.js';
import { stepUpRequired } from '../http/session.guard.js';
import type { ActiveSession } from '../sessions/session.service.js';

/** The guard of the session's user. A session without one belongs to an account that is gone. */
export async function guardOf(guard: GuardStore, session: ActiveSession): Promise<GuardSummary> {
  const summary = await guard.summary(session.record.userId);
  if (!summary || summary.state === 'erasing') throw new Problem('unauthenticated');
  if (summary.state === 'disabled') throw new Problem('account_inactive');
  return summary;
}

/**
 * Account management: enrolling, preferences, password, erasure. A password alone will do only until the account had
 * its first face; afterwards it needs the face or the mailed code, or a stolen password could replace the face.
 */
export async function assertMayManage(guard: GuardStore, session: ActiveSession): Promise<GuardSummary> {
  const summary = await guardOf(guard, session);
  if (summary.everEnrolled && session.record.acr === ACR.pwd) throw stepUpRequired();
  return summary;
}
