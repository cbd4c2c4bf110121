import { Inject, Injectable } from '@nestjs/common';
import type { ErasureRow } from '#contracts';
import type { GuardStore } from '#guard';
import { uuidOf } from '#sealing';
import { DrainService } from '../events/drain.service.js';
import { GUARD_STORE } from '../guard-store.js';
import { EntriesRepository } from '../log/entries.repository.js';
import { LogWriter } from '../log/log-writer.js';
import { SubjectsRepository } from '../log/subjects.repository.js';
import { MailNudge } from '../notifications/mail-nudge.js';
import { MailsRepository } from '../notifications/mails.repository.js';
import { UsersRepository } from '../users.repository.js';
import { ErasuresRepository } from './erasures.repository.js';
import { PersonalDataRepository } from './personal-data.repository.js';

/** In this order. Each may be repeated, alone or with all before it, and changes nothing the second time. */
export const ERASURE_STEPS = [
  'closeGuard',
  'endSessions',
  'prepareMail',
  'drainOutbox',
  'removeData',
  'removeAccount',
  'recordCompletion',
  'removeGuard',
  'removePayload',
  'releaseMail',
  'complete',
] as const;
export type ErasureStep = (typeof ERASURE_STEPS)[number];

const LATE_WRITERS_MAX = 5;

@Injectable()
export class ErasureSteps implements Record<ErasureStep, (row: ErasureRow) => Promise<void>> {
  constructor(
    @Inject(GUARD_STORE) private readonly guard: GuardStore,
    private readonly ledger: ErasuresRepository,
    private readonly users: UsersRepository,
    private readonly mails: MailsRepository,
    private readonly nudge: MailNudge,
    private readonly log: LogWriter,
    private readonly entries: EntriesRepository,
    private readonly subjects: SubjectsRepository,
    private readonly drains: DrainService,
    private readonly data: PersonalDataRepository,
  ) {}

  /** No attempt begins from here on, a live one is settled. A guard that is gone was removed by an earlier run. */
  async closeGuard(row: ErasureRow): Promise<void> {
    await this.guard.change(row.userId, { kind: 'erase' }, {}, `erase-${row._id}`);
  }

  async endSessions(row: ErasureRow): Promise<void> {
    await this.users.raiseSessionEpoch(row.userId);
  }

  /** The address is copied while there is one; the mail is held until all is done. */
  async prepareMail(row: ErasureRow): Promise<void> {
    const to = (await this.users.find(row.userId))?.email;
    if (to === undefined) return;
    await this.mails.insert([
      {
        _id: mailIdOf(row),
        userId: row.userId,
        to,
        template: 'erasure_completed',
        params: {},
        createdAt: new Date(),
        state: 'held',
      },
    ]);
  }

  async drainOutbox(row: ErasureRow): Promise<void> {
    await this.drains.drainUser(row.userId);
  }

  /** Template, consents, attempts and mails go; what is personal in his events cannot be opened from here on. */
  async removeData(row: ErasureRow): Promise<void> {
    await this.data.removeOfUser(row.userId);
    await this.mails.removeOfUser(row.userId, mailIdOf(row));
    await this.subjects.destroyKey(row.userId);
  }

  async removeAccount(row: ErasureRow): Promise<void> {
    await this.users.remove(row.userId);
  }

  async recordCompletion(row: ErasureRow): Promise<void> {
    await this.log.append([
      {
        eventId: uuidOf(`erasure_completed:${row._id}`),
        userId: row.userId,
        type: 'erasure_completed',
        timestamp: await this.ledger.finishedAt(row._id),
      },
    ]);
  }

  /** The guard goes only with an empty outbox; what was written meanwhile is drained and stripped like the rest. */
  async removeGuard(row: ErasureRow): Promise<void> {
    for (let round = 0; !(await this.guard.removeErased(row.userId)); round++) {
      if ((await this.guard.summary(row.userId)) === null) break;
      if (round === LATE_WRITERS_MAX) throw new Error('the outbox of an erased guard does not run empty');
      await this.drainOutbox(row);
    }
    await this.removeData(row);
  }

  /** Only now that a signed entry says so: a payload that is missing without one would look like tampering. */
  async removePayload(row: ErasureRow): Promise<void> {
    await this.log.cover();
    const pseudonym = (await this.subjects.findOne(row.userId))?.pseudonym;
    if (pseudonym) await this.entries.removePayload(pseudonym);
    await this.subjects.forgetPseudonym(row.userId);
  }

  /** The second pass, for writers that were on their way when the first one ran. */
  async removeLate(row: ErasureRow): Promise<void> {
    await this.removeData(row);
    await this.subjects.remove(row.userId);
  }

  async releaseMail(row: ErasureRow): Promise<void> {
    await this.mails.release(mailIdOf(row));
    await this.nudge.send(mailIdOf(row));
  }

  async complete(row: ErasureRow): Promise<void> {
    await this.ledger.complete(row._id);
  }
}

const mailIdOf = (row: ErasureRow): string => `erasure-${row._id}`;
