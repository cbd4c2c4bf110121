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
  async enqueue(request: MailRequest): Promise<string> {
    const row = this.compose(request, randomUUID());
    await this.rows.insertOne(row);
    return row._id;
  }

  /** The row alone, for whoever puts it in its place with something else. `key`: the same for the same mail. */
  compose({ secret, ...request }: MailRequest, key: string): MailRow {
    const mailId = `${request.template.replaceAll('_', '-')}-${key}`;
    const sealedSecret =
      secret === undefined ? {} : { sealedSecret: sealText(this.mailKey, mailSecretAad(mailId), secret) };
    return mailRowSchema.parse({ _id: mailId, ...request, ...sealedSecret, createdAt: new Date() });
  }
}
