import { Injectable } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import { Connection, type mongo } from 'mongoose';
import { NOT_ME_COLLECTION, type NotMeRow, notMeRowSchema } from '#contracts';
import { sha256Hex } from '../store/keys.js';
import { collection } from '../store/mongo.js';

/** Links of security mails, "this was not me": the audit service writes the hash of each as it sends the mail. */
@Injectable()
export class NotMeRepository {
  private readonly rows: mongo.Collection<NotMeRow>;

  constructor(@InjectConnection() connection: Connection) {
    this.rows = collection(connection, NOT_ME_COLLECTION);
  }

  async find(token: string): Promise<NotMeRow | null> {
    const row = await this.rows.findOne({ _id: { $eq: sha256Hex(token) }, expireAt: { $gt: new Date() } });
    return row === null ? null : notMeRowSchema.parse(row);
  }
}
