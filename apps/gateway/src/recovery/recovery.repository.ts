import { Injectable } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import { Connection, type mongo } from 'mongoose';
import { collection, isDuplicateKey } from '../store/mongo.js';
import { noRecovery, type RecoveryState } from './recovery-state.js';

@Injectable()
export class RecoveryRepository {
  private readonly rows: mongo.Collection<RecoveryState>;

  constructor(@InjectConnection() connection: Connection) {
    this.rows = collection(connection, 'recovery_codes');
  }

  async read(userId: string): Promise<RecoveryState> {
    return (await this.rows.findOne({ _id: { $eq: userId } })) ?? noRecovery(userId);
  }

  /** That use of a code is over: it cannot be repeated. */
  async finish(userId: string, opId: string): Promise<void> {
    const use = { _id: { $eq: userId }, 'spent.use.opId': { $eq: opId } };
    await this.rows.updateOne(use, { $set: { spent: null }, $inc: { rev: 1 } });
  }

  /** Conditional on nothing having changed since it was read: of parallel tries one is counted, the others look again. */
  async replace(before: RecoveryState, next: RecoveryState): Promise<boolean> {
    if (before.rev === 0) {
      try {
        await this.rows.insertOne(next);
        return true;
      } catch (error) {
        if (isDuplicateKey(error)) return false;
        throw error;
      }
    }
    const { _id, ...fields } = next;
    const filter = { _id: { $eq: _id }, rev: { $eq: before.rev } };
    const { matchedCount } = await this.rows.updateOne(filter, { $set: fields });
    return matchedCount === 1;
  }
}
