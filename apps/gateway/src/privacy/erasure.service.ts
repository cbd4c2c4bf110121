import { type BeforeApplicationShutdown, Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import {
  Accounts,
  LastAdminError,
  LinkTokenRepository,
  type PendingDraft,
  UserRepository,
  type UserRow,
} from '#accounts';
import type { ErasureRow, Origin } from '#contracts';
import { AppLogger } from '#observability';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { Refusals } from '../audit-trail/refusals.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { ConsentRepository } from '../consent/consent.repository.js';
import { TemplateRepository } from '../face/template.repository.js';
import { Problem } from '../http/problem.js';
import { Mails } from '../mail/mail.module.js';
import { SessionService } from '../sessions/session.service.js';
import { refusingLastAdmin } from '../users/last-admin.js';
import { ErasureRepository } from './erasure.repository.js';

const HOUR_MS = 3_600_000;
const SWEEP_MS = 10_000;
const SWEEP_PAGE = 50;

/** What is known of an erasure. `held`: it waits, and can be stopped. */
export interface Erasure {
  id: string;
  state: 'held' | ErasureRow['state'];
  requestedAt: Date;
  dueAt?: Date;
  completedAt?: Date | undefined;
}

/**
 * Erasure of an account: the biometric part at once, the rest after a hold in which its owner can stop it. While it waits it
 * stands in the account alone; when the hold is over it comes into the ledger, from which the audit service carries it out.
 */
@Injectable()
export class ErasureService implements OnModuleInit, BeforeApplicationShutdown {
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly accounts: Accounts,
    private readonly users: UserRepository,
    private readonly links: LinkTokenRepository,
    private readonly ledger: ErasureRepository,
    private readonly templates: TemplateRepository,
    private readonly consents: ConsentRepository,
    private readonly sessions: SessionService,
    private readonly mails: Mails,
    private readonly refusals: Refusals,
    private readonly nudge: AuditNudge,
    private readonly logger: AppLogger,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
  ) {}

  onModuleInit(): void {
    const sweep = (): void =>
      void this.beginDue().catch((err: unknown) => this.logger.warn({ err }, 'erasures that are due were not begun'));
    this.timer = setInterval(sweep, SWEEP_MS).unref();
  }

  beforeApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  /** A repeat is answered with the erasure that waits. */
  async request(user: UserRow, origin: Origin): Promise<Erasure> {
    const hours = this.config.ERASURE_HOLD_HOURS;
    const holdMs = hours * HOUR_MS;
    const announce = async (draft: PendingDraft): Promise<void> => {
      if (hours === 0) return;
      const secret = await this.links.issue('cancel_erasure', user, { holdMs });
      const mail = { userId: user._id, template: 'erasure_announced', params: { hours }, to: user.email, secret, origin } as const; // prettier-ignore
      await draft.mail(this.mails.compose(mail));
    };
    const held = await refusingLastAdmin(this.accounts.requestErasure(user, holdMs, origin, announce));
    if (!held?.erasure) throw new Problem('unauthenticated');
    // The guard knows no face any more; what is left of one is nobody's.
    await this.templates.deleteAllOf(user._id);
    await this.consents.markWithdrawn(user._id);
    this.nudge.drain(user._id);
    const { id, requestedAt, dueAt } = held.erasure;
    if (hours > 0) return { id, state: 'held', requestedAt, dueAt };
    await refusingLastAdmin(this.begin(held));
    return { id, state: 'requested', requestedAt };
  }

  /** In a session. */
  async cancel(user: UserRow, origin: Origin): Promise<void> {
    if (!(await this.stop(user, 'own_session', origin))) throw new Problem('not_found');
  }

  /** A link with which there is nothing to stop is not used up: the next erasure may be the thief's. */
  async cancelByLink(token: string, origin: Origin): Promise<void> {
    const link = await this.links.find('cancel_erasure', token);
    const user = link && (await this.users.findById(link.userId));
    if (!user || !(await this.stop(user, 'link', origin))) throw this.refusals.ofLink('cancel_erasure', link, origin);
    await this.links.take('cancel_erasure', token);
  }

  async find(erasureId: string): Promise<Erasure | null> {
    const row = await this.ledger.find(erasureId);
    if (row) return { id: row._id, ...row };
    const erasure = (await this.users.findByErasure(erasureId))?.erasure;
    return erasure ? { ...erasure, state: erasure.begun ? 'requested' : 'held' } : null;
  }

  /** Any gateway may do it, at any time. One that fails holds up no other. */
  async beginDue(): Promise<void> {
    const tried: string[] = [];
    for (;;) {
      const due = await this.users.findErasuresDue(SWEEP_PAGE, tried);
      for (const user of due) {
        tried.push(user._id);
        await this.begin(user).catch((err: unknown) => {
          const why = err instanceof LastAdminError ? 'an erasure waits: this is the last administrator' : 'an erasure was not begun'; // prettier-ignore
          this.logger.warn({ userId: user._id, err }, why);
        });
      }
      if (due.length < SWEEP_PAGE) return;
    }
  }

  private async stop(user: UserRow, by: 'own_session' | 'link', origin: Origin): Promise<boolean> {
    const mail = { userId: user._id, template: 'erasure_cancelled', params: {}, origin } as const;
    return this.accounts.cancelErasure(user._id, by, origin, (draft) => draft.mail(this.mails.compose(mail)));
  }

  /** The account first, then the ledger: a row that lies there is carried out, whatever the account says. */
  private async begin(user: UserRow): Promise<void> {
    if (user.erasure === null || !(await this.accounts.beginErasure(user))) return;
    const { id, requestedAt } = user.erasure;
    const row = { _id: id, userId: user._id, requestedBy: user._id, requestedAt, state: 'requested' } as const;
    const { _id } = await this.ledger.insertOrFind(row);
    await this.sessions.endAll(user._id);
    this.nudge.erase(_id);
  }
}
