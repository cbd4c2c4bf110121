import { randomInt, randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { addressHeldUntil, type UserRow } from '#accounts';
import type { Origin } from '#contracts';
import type { GuardStore } from '#guard';
import { Refusals } from '../audit-trail/refusals.js';
import { UserEvents } from '../audit-trail/user-events.js';
import { RequestThrottle } from '../auth/request-throttle.js';
import { guardOf } from '../face/authority.js';
import { GUARD } from '../face/guard.module.js';
import type { Principal } from '../http/principal.js';
import { Problem } from '../http/problem.js';
import { Mails } from '../mail/mail.module.js';
import { LostAnswers } from '../sessions/lost-answers.js';
import { raisedByCode } from '../sessions/session-record.js';
import { type ActiveSession, SessionService } from '../sessions/session.service.js';
import { Keys } from '../store/keys.js';
import { issue, type Issued, RECOVERY_LIMITS, type RecoveryState, tryCode, type Tried } from './recovery-state.js';
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
    private readonly lost: LostAnswers,
    private readonly keys: Keys,
    private readonly throttle: RequestThrottle,
    private readonly events: UserEvents,
    private readonly refusals: Refusals,
    @Inject(GUARD) private readonly guard: GuardStore,
  ) {}

  async send(session: ActiveSession, user: UserRow, origin: Origin): Promise<{ expiresAt: string }> {
    await guardOf(this.guard, session);
    if (!user.emailVerified) throw new Problem('email_not_verified');
    assertNotHeld(user);
    const code = Array.from({ length: CODE_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
    const given = this.codeOf(session, user, code);
    const issuedFrom = (state: RecoveryState) => issued(issue(state, user.recoveryGeneration, given, new Date()));
    // Who has no code left is told so, and spends no mail on the question.
    issuedFrom(await this.codes.read(user._id));
    await this.throttle.takeMail(user);
    const { expiresAt } = await this.settled(user._id, issuedFrom);
    const params = { minutes: RECOVERY_LIMITS.lifeMs / 60_000 };
    await this.mails.send({ userId: user._id, template: 'recovery_code', params, origin, secret: code });
    await this.events.append(user._id, 'recovery_sent', origin);
    return { expiresAt: expiresAt.toISOString() };
  }

  async verify(session: Principal, code: string, origin: Origin): Promise<ActiveSession> {
    const { user } = session;
    if (!user) throw new Error('this route did not ask for the account');
    const userId = user._id;
    assertNotHeld(user);
    await guardOf(this.guard, session);
    const tokenMac = this.keys.mac('recovery-code', 'by', session.token).toString('base64url');
    const use = { tokenMac, opId: randomUUID(), eventId: randomUUID() };
    const given = { ...this.codeOf(session, user, code), use };
    const tried = await this.settled<Tried>(userId, (state) =>
      tryCode(state, user.recoveryGeneration, given, new Date()),
    );
    if (!('use' in tried)) {
      // Of requests sent side by side another one may have been answered meanwhile.
      const answered = await this.lost.find(session.token, ['recovery_code', code]);
      if (answered) return answered;
      const reason = tried.kind === 'refused' ? 'throttled' : 'wrong_credential';
      this.refusals.record('recovery_code', reason, { userId, origin });
      if (tried.kind !== 'refused') throw new Problem('code_invalid');
      throw new Problem('too_many_codes', { retryAfterSeconds: tried.retryAfterSeconds });
    }

    // From here the code is spent. The old template verifies nobody before the session is raised; the mail goes with it.
    const { opId, eventId } = tried.use;
    const demand = { kind: 're_enrolment_required', by: 'recovery' } as const;
    const changed = await this.guard.change(userId, demand, origin, opId);
    if (changed.kind !== 'changed') throw new Problem('unauthenticated');
    const { lockEpoch } = changed.summary;
    const raised = await this.sessions.rotate(
      session,
      raisedByCode(session.record),
      ['recovery_code', code],
      lockEpoch,
    );
    await this.events.append(userId, 'recovery_used', origin, { eventId });
    // From here a session that Redis might bring back from before has nothing to repeat.
    await this.codes.finish(userId, opId);
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

  private async settled<T extends Issued | Tried>(userId: string, step: (state: RecoveryState) => T): Promise<T> {
    for (let round = 0; round < ROUNDS; round++) {
      const before = await this.codes.read(userId);
      const outcome = step(before);
      if (!('next' in outcome) || (await this.codes.replace(before, outcome.next))) return outcome;
    }
    throw new Problem('too_many_requests', { retryAfterSeconds: 1 });
  }
}

/** @throws too_many_codes */
function issued(outcome: Issued): Extract<Issued, { kind: 'issued' }> {
  if (outcome.kind === 'issued') return outcome;
  throw new Problem('too_many_codes', { retryAfterSeconds: outcome.retryAfterSeconds });
}

/** For a day after an address was given back or replaced nobody knows whose mailbox it is. */
function assertNotHeld(user: UserRow): void {
  if (addressHeldUntil(user, new Date())) throw new Problem('address_held');
}
