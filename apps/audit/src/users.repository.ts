import { Injectable } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import type { Collection, Connection } from 'mongoose';

/** The fields of an account that audit knows; the rest is the gateway's. */
interface UserRow {
  _id: string;
  email?: unknown;
  locale?: unknown;
  sessionEpoch?: number;
}

@Injectable()
export class UsersRepository {
  private readonly users: Collection<UserRow>;

  constructor(@InjectConnection() connection: Connection) {
    this.users = connection.collection<UserRow>('users');
  }

  /** Where to mail to, and in which language. Null: there is no such account, or it has no address. */
  async find(userId: string): Promise<{ email: string; locale?: string } | null> {
    const projection = { email: 1, locale: 1 };
    const user = await this.users.findOne({ _id: userId }, { projection, maxTimeMS: 2_000 });
    if (typeof user?.email !== 'string') return null;
    return { email: user.email, ...(typeof user.locale === 'string' ? { locale: user.locale } : {}) };
  }

  /** Ends every session: the gateway compares a session's epoch with this one. */
  async raiseSessionEpoch(userId: string): Promise<void> {
    await this.users.updateOne({ _id: userId }, { $inc: { sessionEpoch: 1 } });
  }

  /** Those of them who have an account. */
  async existing(userIds: readonly string[]): Promise<Set<string>> {
    const rows = await this.users
      .find({ _id: { $in: [...userIds] } }, { projection: { _id: 1 }, maxTimeMS: 2_000 })
      .toArray();
    return new Set(rows.map((row) => row._id));
  }

  async remove(userId: string): Promise<void> {
    await this.users.deleteOne({ _id: userId });
  }
}
