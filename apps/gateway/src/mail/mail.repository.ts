import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import { Connection, type mongo } from 'mongoose';
import { type MailRow, mailRowSchema, mailSecretAad, type MailTemplate } from '#contracts';
import { sealText } from '#sealing';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { collection } from '../store/mongo.js';

export interface MailRequest {
  userId: string;
  template: MailTemplate;
  params: Record<string, string | number>;
  /** A code or a token: stored sealed, opened only by whoever sends the mail. */
  secret?: string;
}

/** Mails waiting for the audit service, the only one that speaks SMTP. */
@Injectable()
export class MailRepository {
  private readonly rows: mongo.Collection<MailRow>;

  constructor(
    @InjectConnection() connection: Connection,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
    private readonly nudge: AuditNudge,
  ) {
    this.rows = collection(connection, 'mails');
  }

  async enqueue({ userId, template, params, secret }: MailRequest): Promise<void> {
    const mailId = `${template.replaceAll('_', '-')}-${randomUUID()}`;
    const row = mailRowSchema.parse({
      _id: mailId,
      userId,
      template,
      params,
      ...(secret === undefined ? {} : { sealedSecret: sealText(this.config.MAIL_KEY, mailSecretAad(mailId), secret) }),
      createdAt: new Date(),
    });
    await this.rows.insertOne(row);
    this.nudge.mail(mailId);
  }
}
