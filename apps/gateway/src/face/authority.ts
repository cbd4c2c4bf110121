import type { GuardStore, GuardSummary } from '#guard';
import { activeGuard } from '../http/session.guard.js';
import type { ActiveSession } from '../sessions/session.service.js';

/** The guard of the session's user, while the account is active. */
export const guardOf = async (guard: GuardStore, session: ActiveSession): Promise<GuardSummary> =>
  activeGuard(await guard.summary(session.record.userId));
