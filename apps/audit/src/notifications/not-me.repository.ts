import { createHash, createHmac } from 'node:crypto';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import type { Collection, Connection } from 'mongoose';
import { makesIndexes } from '#config';
import { MAILED_LINKS, type MailRow, NOT_ME_COLLECTION, type NotMeRow } from '#contracts';
import { newestOf } from '#sealing';
import { AUDIT_CONFIG, type AuditConfig } from '../config.js';

/** The links "this was not me" of security mails. Only their hashes are kept; the gateway takes them. */
@Injectable()
export class NotMeRepository implements OnModuleInit {
  private readonly rows: Collection<NotMeRow>;

  constructor(
    @InjectConnection() connection: Connection,
    @Inject(AUDIT_CONFIG) private readonly config: Pick<AuditConfig, 'MAIL_KEY' | 'NODE_ENV'>,
  ) {
    this.rows = connection.collection<NotMeRow>(NOT_ME_COLLECTION);
  }

  async onModuleInit(): Promise<void> {
    if (!makesIndexes(this.config)) return;
    await this.rows.createIndex({ expireAt: 1 }, { expireAfterSeconds: 0 });
    await this.rows.createIndex({ userId: 1 });
  }

  /**
   * The token of a mail: 256 bits, base64url. Derived from the mail's id, so that a mail that is tried again has the
   * same link; it works from now on, for seven days from when the mail was written.
   */
  async issue({ _id: mailId, userId, template, createdAt }: MailRow): Promise<string> {
    const token = createHmac('sha256', newestOf(this.config.MAIL_KEY).bytes)
      .update(`not-me:v1:${mailId}`)
      .digest('base64url');
    const hash = createHash('sha256').update(token).digest('hex');
    const row = { userId, template, createdAt, expireAt: new Date(createdAt.getTime() + MAILED_LINKS.not_me.lifeMs) };
    await this.rows.updateOne({ _id: { $eq: hash } }, { $setOnInsert: row }, { upsert: true });
    return token;
  }
}
