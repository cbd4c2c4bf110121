import { randomUUID } from 'node:crypto';
import type { mongo } from 'mongoose';
import { type MailRow, mailRowSchema, mailSecretAad, type MailTemplate } from '#contracts';
import { sealText } from '#sealing';

export interface MailRequest {
  userId: string;
  template: MailTemplate;
  params: Record<string, string | number>;
  /** Where the request came from, sealed as events are; named in the mail. */
  sealedOrigin?: string;
  /** Only for an address that is not the user's current one. */
  to?: string;
  /** A code or a token: stored sealed, opened only by whoever sends the mail. */
  secret?: string;
}

/** Mails waiting for the audit service, the only one that speaks SMTP. */
export class MailRepository {
  constructor(
    private readonly rows: mongo.Collection<MailRow>,
    private readonly mailKey: Buffer,
  ) {}

  /** The mail's id: its sweep sends it within seconds, a nudge at once. */
  async enqueue({ secret, ...request }: MailRequest): Promise<string> {
    const mailId = `${request.template.replaceAll('_', '-')}-${randomUUID()}`;
    const sealedSecret =
      secret === undefined ? {} : { sealedSecret: sealText(this.mailKey, mailSecretAad(mailId), secret) };
    await this.rows.insertOne(mailRowSchema.parse({ _id: mailId, ...request, ...sealedSecret, createdAt: new Date() }));
    return mailId;
  }
}
