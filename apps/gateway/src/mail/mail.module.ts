import { Global, Injectable, Module } from '@nestjs/common';
import { getConnectionToken } from '@nestjs/mongoose';
import type { Connection } from 'mongoose';
import { MailRepository, type MailRequest, openMails } from '#accounts';
import type { MailRow, Origin } from '#contracts';
import { newestOf } from '#sealing';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { SubjectRepository } from '../audit-trail/subject.repository.js';
import { RequestThrottle } from '../auth/request-throttle.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { database } from '../store/mongo.js';

/** Puts a mail where the audit service finds it, and says so. */
@Injectable()
export class Mails {
  constructor(
    private readonly mails: MailRepository,
    private readonly subjects: SubjectRepository,
    private readonly nudge: AuditNudge,
  ) {}

  /** `origin`: the device and address that the mail names; they are stored sealed. */
  async send(request: MailRequest & { origin?: Origin }): Promise<void> {
    this.nudge.mail(await this.mails.enqueue(await this.sealed(request)));
  }

  /** For what follows from a change of an account (`PendingDraft.mail`). */
  compose(request: MailRequest & { origin?: Origin }): (key: string) => Promise<MailRow> {
    return async (key) => this.mails.compose(await this.sealed(request), key);
  }

  private async sealed({ origin, ...request }: MailRequest & { origin?: Origin }): Promise<MailRequest> {
    const sealedOrigin = origin && (await this.subjects.sealer.of(request.userId)).mail(origin);
    return { ...request, ...(sealedOrigin ? { sealedOrigin } : {}) };
  }
}

@Global()
@Module({
  providers: [
    {
      provide: MailRepository,
      inject: [getConnectionToken(), GATEWAY_CONFIG],
      useFactory: (connection: Connection, config: GatewayConfig) =>
        openMails(database(connection), newestOf(config.MAIL_KEY).bytes),
    },
    Mails,
    RequestThrottle,
  ],
  exports: [MailRepository, Mails, RequestThrottle],
})
export class MailModule {}
