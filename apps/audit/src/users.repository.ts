import { Injectable } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import type { Collection, Connection } from 'mongoose';

/** The two fields of an account that audit knows; the rest is the gateway's. */
interface UserRow {
  _id: string;
  email?: unknown;
  sessionEpoch?: number;
}

@Injectable()
export class UsersRepository {
  private readonly users: Collection<UserRow>;

  constructor(@InjectConnection() connection: Connection) {
    this.users = connection.collection<UserRow>('users');
  }

  async findEmail(userId: string): Promise<string | null> {
    const user = await this.users.findOne({ _id: userId }, { projection: { email: 1 }, maxTimeMS: 2_000 });
    return typeof user?.email === 'string' ? user.email : null;
  }

  /** Ends every session: the gateway compares a session's epoch with this one. */
  async raiseSessionEpoch(userId: string): Promise<void> {
    await this.users.updateOne({ _id: userId }, { $inc: { sessionEpoch: 1 } });
  }

  async remove(userId: string): Promise<void> {
    await this.users.deleteOne({ _id: userId });
  }
}
