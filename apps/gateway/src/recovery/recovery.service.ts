import { randomInt, randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { UserRow } from '#accounts';
import type { Origin } from '#contracts';
import type { GuardStore } from '#guard';
import { Refusals } from '../audit-trail/refusals.js';
import { UserEvents } from '../audit-trail/user-events.js';
import { RequestThrottle } from '../auth/request-throttle.js';
import { guardOf } from '../face/authority.js';
import { GUARD } from '../face/guard.module.js';
import { Problem } from '../http/problem.js';
import { Mails } from '../mail/mail.module.js';
import { raisedByCode } from '../sessions/session-record.js';
import { type ActiveSession, SessionService } from '../sessions/session.service.js';
import { Keys } from '../store/keys.js';
import { issue, RECOVERY_LIMITS, type RecoveryState, tryCode } from './recovery-state.js';
import { RecoveryRepository } from './recovery.repository.js';

/** No 0, 1, I, L, O, U: nothing that reads like another. 30 characters, so 39 bits in eight. */
const ALPHABET = '23456789ABCDEFGHJKMNPQRSTVWXYZ';
const CODE_LENGTH = 8;
/** How often an update that lost to a parallel one is tried again. */
const ROUNDS = 5;

/** "Trouble with face recognition?": a mailed code instead of the face, for this session, at the price of enrolling anew. */
@Injectable()
export class RecoveryService {
  constructor(
    private readonly codes: RecoveryRepository,
    private readonly mails: Mails,
    private readonly sessions: SessionService,
    private readonly keys: Keys,
    private readonly throttle: RequestThrottle,
    private readonly events: UserEvents,
    private readonly refusals: Refusals,
    @Inject(GUARD) private readonly guard: GuardStore,
  ) {}

  async send(session: ActiveSession, user: UserRow, origin: Origin): Promise<{ expiresAt: string }> {
    await guardOf(this.guard, session);
    if (!user.emailVerified) throw new Problem('email_not_verified');
    await this.throttle.takeMail(user);
    const code = Array.from({ length: CODE_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
    const given = this.codeOf(session, user, code);
    const issued = await this.settled(user._id, (state) => issue(state, user.recoveryGeneration, given, new Date()));
    if (issued.kind === 'refused') {
      throw new Problem('too_many_codes', { retryAfterSeconds: issued.retryAfterSeconds });
    }
    const params = { minutes: RECOVERY_LIMITS.lifeMs / 60_000 };
    await this.mails.send({ userId: user._id, template: 'recovery_code', params, origin, secret: code });
    await this.events.append(user._id, 'recovery_sent', origin);
    return { expiresAt: issued.expiresAt.toISOString() };
  }

  async verify(session: ActiveSession, user: UserRow, code: string, origin: Origin): Promise<ActiveSession> {
    await guardOf(this.guard, session);
    const given = this.codeOf(session, user, code);
    const tried = await this.settled(user._id, (state) => tryCode(state, user.recoveryGeneration, given, new Date()));
    if (tried.kind !== 'right') {
      const reason = tried.kind === 'refused' ? 'throttled' : 'wrong_credential';
      this.refusals.record('recovery_code', reason, { userId: user._id, origin });
    }
    if (tried.kind === 'refused') throw new Problem('too_many_codes', { retryAfterSeconds: tried.retryAfterSeconds });
    if (tried.kind !== 'right') throw new Problem('code_invalid');

    // From here the code is spent. The old template verifies nobody before the session is raised.
    await this.guard.change(user._id, { kind: 're_enrolment_required', by: 'recovery' }, origin, randomUUID());
    const raised = await this.sessions.rotate(session, raisedByCode(session.record), this.sessions.newToken());
    await this.events.append(user._id, 'recovery_used', origin);
    await this.mails.send({ userId: user._id, template: 'recovery_used', params: {}, origin });
    if (!raised) throw new Problem('unauthenticated');
    return raised;
  }

  private codeOf({ record: { sessionId } }: ActiveSession, { _id, credentialEpoch }: UserRow, code: string) {
    return { codeMac: this.macOf(_id, code), sessionId, credentialEpoch };
  }

  /** Keyed: eight characters could be guessed from a plain hash. */
  private macOf(userId: string, code: string): string {
    return this.keys.mac('recovery-code', userId, code).toString('base64url');
  }

  private async settled<T extends { kind: string; next?: RecoveryState }>(
    userId: string,
    step: (state: RecoveryState) => T,
  ): Promise<T> {
    for (let round = 0; round < ROUNDS; round++) {
      const before = await this.codes.read(userId);
      const outcome = step(before);
      if (!outcome.next || (await this.codes.replace(before, outcome.next))) return outcome;
    }
    throw new Problem('too_many_requests', { retryAfterSeconds: 1 });
  }
}
