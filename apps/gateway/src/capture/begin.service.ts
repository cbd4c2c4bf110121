import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { addressHeldUntil } from '#accounts';
import type { Action, Origin, Purpose } from '#contracts';
import {
  allowedActions,
  type BeginRefusal,
  drawChallenge,
  type GuardStore,
  type GuardSummary,
  newChallengeId,
  type Reservation,
} from '#guard';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { CURRENT_CONSENT } from '../consent/consent-text.js';
import { guardOf } from '../face/authority.js';
import { GUARD } from '../face/guard.module.js';
import { TemplateRepository } from '../face/template.repository.js';
import { Problem } from '../http/problem.js';
import type { Principal } from '../http/principal.js';
import { StoreEpoch } from '../store/store-epoch.repository.js';
import { TransportEpoch } from '../redis/transport-epoch.js';
import { AdmissionControl } from './admission.js';
import { type Binding, bindingOf } from './binding.js';

/** Begins a capture: who may, whether the guard allows it, whether there is capacity, all before a camera opens. */
@Injectable()
export class BeginService {
  constructor(
    @Inject(GUARD) private readonly guard: GuardStore,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
    private readonly templates: TemplateRepository,
    private readonly admission: AdmissionControl,
    private readonly transport: TransportEpoch,
    private readonly store: StoreEpoch,
    private readonly nudge: AuditNudge,
  ) {}

  async begin(session: Principal, purpose: Purpose, origin: Origin): Promise<Reservation> {
    if (session.user?.erasure) throw new Problem('erasure_pending');
    // An enrolment was permitted on the guard that the policy looked at: that one must not have changed since.
    const before = session.face ?? (await guardOf(this.guard, session));
    const admission = await this.admission.check();
    // A locked face is told so even when nothing could be judged: waiting for capacity would not help.
    if (admission.kind === 'busy' && !(purpose === 'verify' && before.lockedMinutes > 0)) {
      throw new Problem('busy', { retryAfterSeconds: admission.retryAfterSeconds });
    }
    if (purpose === 'verify') await this.assertTemplateIsThere(before);

    const { userId, sessionId } = session.record;
    const binding = purpose === 'enrol' ? this.bindingOf(session, before) : null;
    const outcome = await this.guard.begin({
      userId,
      attemptId: randomUUID(),
      challengeId: newChallengeId(),
      sessionId,
      purpose,
      actions: this.draw(before),
      transportEpoch: await this.transport.current(),
      storeEpoch: await this.store.current(),
      currentConsentVersion: CURRENT_CONSENT.version,
      currentModelDigest: this.config.modelDigest,
      templateId: purpose === 'enrol' ? randomUUID() : null,
      hold: binding?.hold ?? false,
      boundFrom: binding?.boundFrom ?? null,
      origin,
    });
    // Whatever the guard settled or refused on the way left an event.
    this.nudge.drain(userId);
    if (outcome.kind === 'refused') throw refused(outcome);
    await this.assertUnchanged(session, before, outcome.reservation);
    return outcome.reservation;
  }

  private draw({ optOuts, shortChallenges }: GuardSummary): Action[] {
    // Who chose it while it was allowed has the long ones again.
    const short = shortChallenges && this.config.SHORT_CHALLENGES === 'allowed';
    return drawChallenge(allowedActions(optOuts), undefined, short);
  }

  private bindingOf({ record, user }: Principal, { everHadFactor, boundFrom }: GuardSummary): Binding {
    if (!user) throw new Error('this route did not ask for the account');
    const isProved = this.config.FIRST_ENROLMENT === 'proved' || user.roles.some((role) => role !== 'user');
    const isHeld = addressHeldUntil(user, new Date()) !== null;
    return bindingOf({ record, everHadFactor, former: boundFrom, isProved, isHeld, now: Date.now() });
  }

  /** A row that the guard names and that is gone (a restored backup) asks for a new enrolment; it is no fault. */
  private async assertTemplateIsThere({ userId, templateId }: GuardSummary): Promise<void> {
    if (templateId === null || (await this.templates.find(userId, templateId))) return;
    throw new Problem('re_enrolment_required');
  }

  /**
   * Who may enrol was judged on a guard read before. Had somebody enrolled in between, a password alone could now
   * replace that face: the epoch, which every such change raises, tells.
   */
  private async assertUnchanged(session: Principal, before: GuardSummary, begun: Reservation): Promise<void> {
    if (begun.lockEpoch === before.lockEpoch) return;
    const { userId, sessionId } = session.record;
    await this.guard.cancel({ userId, attemptId: begun.attemptId, sessionId });
    throw new Problem('attempt_in_progress', { retryAfterSeconds: 1 });
  }
}

function refused(refusal: BeginRefusal): Problem {
  switch (refusal.code) {
    case 'face_locked': {
      const { minutes, lockedUntil } = refusal;
      const extras = { minutes, lockedUntil: lockedUntil.toISOString() };
      return new Problem('face_locked', { extras, retryAfterSeconds: minutes * 60 });
    }
    case 'attempt_in_progress': {
      const { attemptId, retryAfterSeconds } = refusal;
      return new Problem('attempt_in_progress', { extras: attemptId ? { attemptId } : {}, retryAfterSeconds });
    }
    case 'too_many_attempts':
    case 'busy':
      return new Problem(refusal.code, { retryAfterSeconds: refusal.retryAfterSeconds });
    case 'not_found':
      return new Problem('unauthenticated');
    default:
      return new Problem(refusal.code);
  }
}
