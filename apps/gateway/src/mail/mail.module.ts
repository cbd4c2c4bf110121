import { Global, Injectable, Module } from '@nestjs/common';
import { getConnectionToken } from '@nestjs/mongoose';
import type { Connection } from 'mongoose';
import { MailRepository, type MailRequest, openMails } from '#accounts';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';

/** Puts a mail where the audit service finds it, and says so. */
@Injectable()
export class Mails {
  constructor(
    private readonly mails: MailRepository,
    private readonly nudge: AuditNudge,
  ) {}

  async send(request: MailRequest): Promise<void> {
    this.nudge.mail(await this.mails.enqueue(request));
  }
}

@Global()
@Module({
  providers: [
    {
      provide: MailRepository,
      inject: [getConnectionToken(), GATEWAY_CONFIG],
      useFactory: (connection: Connection, config: GatewayConfig) =>
        openMails(connection.getClient().db(connection.name), config.MAIL_KEY),
    },
    Mails,
  ],
  exports: [Mails],
})
export class MailModule {}
