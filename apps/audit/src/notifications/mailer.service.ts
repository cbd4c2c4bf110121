import { randomUUID } from 'node:crypto';
import { type BeforeApplicationShutdown, Inject, Injectable } from '@nestjs/common';
import { z } from 'zod';
import { openMailOrigin } from '#audit-log';
import {
  MAIL_LOCALES,
  type MailLocale,
  mailLocaleOf,
  type MailRow,
  mailRowSchema,
  mailSecretAad,
  type Origin,
  recipientSchema,
} from '#contracts';
import { AppLogger, Metrics } from '#observability';
import { openWithAny, SealError } from '#sealing';
import { AUDIT_CONFIG, type AuditConfig } from '../config.js';
import { SubjectsRepository } from '../log/subjects.repository.js';
import { UsersRepository } from '../users.repository.js';
import { compose, isUndoable, isUseful, messageIdOf } from './compose.js';
import type { StoredMail } from './mail.schema.js';
import { MailsRepository } from './mails.repository.js';
import { NotMeRepository } from './not-me.repository.js';
import type { RenderedMail } from './render.js';
import { Smtp } from './smtp.js';

const SWEEP_PAGE = 50;
const SWEEP_PARALLEL = 4;
/** A mail on which the server takes longer than this keeps no other waiting. */
const SWEEP_PATIENCE_MS = 10_000;
/** So many conversations at a time, with a server that is slow with all of them. */
const UNDERWAY_MAX = 50;
const MINUTE_MS = 60_000;
/** How long until the next try, doubled each time, in milliseconds. */
const BACKOFF = {
  deferred: { first: 5_000, max: 15 * MINUTE_MS },
  forbidden: { first: 15 * MINUTE_MS, max: 4 * 60 * MINUTE_MS },
  // RFC 5321, 4.5.4.1: what was sent whole has probably been taken.
  unanswered: { first: 30 * MINUTE_MS, max: 4 * 60 * MINUTE_MS },
} as const;
/** Tries against a rule of the server, one that may be changed meanwhile. */
const FORBIDDEN_TRIES = 4;
/** In the middle of a conversation its lease is made longer, well before it ends. */
const RENEW_MS = 30_000;
/** A server that lets a conversation last longer has lost it. */
const RENEWALS_MAX = 120;

/** Fields that audit adds to a row; the contract's own schema is strict. */
const rowSchema = z.strictObject(mailRowSchema.shape).strip();

type Outcome =
  | { kind: 'sent' }
  /** Nothing that comes later can make this mail sendable. */
  | { kind: 'dead'; reason: string; reply?: string }
  | { kind: 'retry'; reason: string; wait: keyof typeof BACKOFF; err?: unknown };

/**
 * Sends what waits in `mails`, each at most once but for a crash between the server's yes and our note of it, or a
 * server that hangs up after the whole message without a word (then the Message-ID is the same). A mail that cannot be
 * sent is tried again for a day; one that the server refuses for good (5yz) is not.
 */
@Injectable()
export class MailerService implements BeforeApplicationShutdown {
  private readonly underway = new Set<Promise<void>>();

  constructor(
    @Inject(AUDIT_CONFIG) private readonly config: Pick<AuditConfig, 'MAIL_KEY' | 'PUBLIC_URL'>,
    private readonly mails: MailsRepository,
    private readonly users: UsersRepository,
    private readonly subjects: SubjectsRepository,
    private readonly notMe: NotMeRepository,
    private readonly smtp: Smtp,
    private readonly logger: AppLogger,
    private readonly metrics: Metrics,
  ) {}

  async beforeApplicationShutdown(): Promise<void> {
    await Promise.allSettled(this.underway);
  }

  async deliver(mailId: string): Promise<void> {
    const delivery = this.tryOnce(mailId);
    this.underway.add(delivery);
    try {
      await delivery;
    } finally {
      this.underway.delete(delivery);
    }
  }

  private async tryOnce(mailId: string): Promise<void> {
    const leaseId = randomUUID();
    const claimed = await this.mails.claim(mailId, leaseId);
    if (!claimed) return;
    const stopRenewing = this.renewing(mailId, leaseId);
    // Whatever goes wrong on the way is noted: an error that nobody notes would come again for ever.
    const outcome = await this.attempt(claimed)
      .catch((err: unknown): Outcome => ({ kind: 'retry', reason: 'failed', wait: 'deferred', err }))
      .finally(stopRenewing);
    const state = await this.note(claimed, leaseId, outcome);
    const fields = { mailId, template: String(claimed.template), state, tries: claimed.attempts };
    if (outcome.kind === 'sent') this.logger.info(fields, 'mail sent');
    else this.logger.warn({ ...fields, reason: outcome.reason, err: errorOf(outcome) }, 'mail not sent');
  }

  /** As long as a conversation lasts, the mail is in our hands; a process that died renews nothing. */
  private renewing(mailId: string, leaseId: string): () => void {
    let left = RENEWALS_MAX;
    const timer = setInterval(() => {
      if (--left === 0) clearInterval(timer);
      this.mails
        .renew(mailId, leaseId)
        .catch((err: unknown) => this.logger.warn({ mailId, err }, 'lease of a mail not renewed'));
    }, RENEW_MS);
    return () => clearInterval(timer);
  }

  async sweep(): Promise<void> {
    const due = await this.mails.findDue(SWEEP_PAGE);
    const workers = Array.from({ length: SWEEP_PARALLEL }, async () => {
      for (let mailId = due.shift(); mailId !== undefined; mailId = due.shift()) {
        const id = mailId;
        // One that cannot even be noted must not keep the rest waiting; its lease ends by itself.
        const delivery = this.deliver(id).catch((err: unknown) =>
          this.logger.error({ mailId: id, err }, 'mail not handled'),
        );
        // Nor must one that the server is slow with.
        await (this.underway.size < UNDERWAY_MAX ? Promise.race([delivery, patience()]) : delivery);
      }
    });
    await Promise.all(workers);
  }

  private async attempt(claimed: StoredMail): Promise<Outcome> {
    const parsed = rowSchema.safeParse(claimed);
    if (!parsed.success) return { kind: 'dead', reason: 'malformed' };
    const row: MailRow = parsed.data;
    if (!isUseful(row.template, row.createdAt, new Date())) return { kind: 'dead', reason: 'too_late' };
    const user = await this.users.find(row.userId);
    const to = recipientSchema.safeParse(row.to ?? user?.email);
    // The user's row may be a moment behind his guard's.
    if (!to.success) return { kind: 'retry', reason: 'no_recipient', wait: 'deferred' };
    const params = { ...row.params, ...(await this.originOf(row)) };
    const undo = isUndoable(row.template) ? await this.notMe.issue(row) : undefined;
    const composed = this.compose({ ...row, params }, undo, mailLocaleOf(user?.locale) ?? MAIL_LOCALES[0]);
    if ('kind' in composed) return composed;
    const delivery = await this.smtp.send({ ...composed, to: to.data, messageId: messageIdOf(row._id) });
    switch (delivery.kind) {
      case 'taken':
        return { kind: 'sent' };
      case 'refused':
        return { kind: 'dead', reason: 'refused', reply: delivery.reply };
      case 'forbidden':
        if ((claimed.attempts ?? 1) >= FORBIDDEN_TRIES)
          return { kind: 'dead', reason: 'forbidden', reply: delivery.reply };
        return { kind: 'retry', reason: 'forbidden', wait: 'forbidden' };
      case 'unanswered':
        return { kind: 'retry', reason: 'unanswered', wait: 'unanswered', err: delivery.err };
      case 'deferred':
        return { kind: 'retry', reason: 'smtp', wait: 'deferred', err: delivery.err };
    }
  }

  /** Nothing when the person's key is gone: the mail then names no device. */
  private async originOf({ userId, sealedOrigin }: MailRow): Promise<Pick<Origin, 'deviceModel' | 'ipAddress'>> {
    if (sealedOrigin === undefined) return {};
    const dek = (await this.subjects.findOne(userId))?.dek;
    return dek ? openMailOrigin(userId, sealedOrigin, dek) : {};
  }

  private compose(
    row: MailRow,
    undo: string | undefined,
    locale: MailLocale,
  ): RenderedMail | Extract<Outcome, { kind: 'dead' }> {
    try {
      const { _id, sealedSecret } = row;
      const sealed = sealedSecret && this.secretOfMail(_id, sealedSecret);
      const context = { publicUrl: this.config.PUBLIC_URL, createdAt: row.createdAt };
      const composed = compose(row, context, { sealed, undo }, locale);
      return composed.kind === 'composed' ? composed.mail : { kind: 'dead', reason: composed.reason };
    } catch (error) {
      if (error instanceof SealError) return { kind: 'dead', reason: 'secret_does_not_open' };
      throw error;
    }
  }

  private secretOfMail(mailId: string, sealed: string): string {
    return openWithAny(this.config.MAIL_KEY, mailSecretAad(mailId), Buffer.from(sealed, 'base64url')).toString('utf8');
  }

  private async note(mail: StoredMail, leaseId: string, outcome: Outcome): Promise<string> {
    if (outcome.kind === 'retry') {
      const { first, max } = BACKOFF[outcome.wait];
      const delayMs = Math.min(first * 2 ** ((mail.attempts ?? 1) - 1), max);
      const state = await this.mails.postpone(mail._id, leaseId, delayMs);
      if (state === 'dead') await this.finish(mail, 'dead');
      return state;
    }
    await this.finish(mail, outcome.kind, outcome.kind === 'dead' ? outcome.reply : undefined);
    return outcome.kind;
  }

  /** The last mail of an erased account takes the address with it. */
  private async finish(mail: StoredMail, state: 'sent' | 'dead', reply?: string): Promise<void> {
    this.metrics.count('mails_total', { result: state });
    if (mail.template === 'erasure_completed') await this.mails.remove(mail._id);
    else await this.mails.finish(mail._id, state, reply);
  }
}

const patience = (): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, SWEEP_PATIENCE_MS).unref();
  });

const errorOf = (outcome: Outcome): unknown => (outcome.kind === 'retry' ? outcome.err : undefined);
