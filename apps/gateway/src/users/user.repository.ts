import { Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import { Connection, type mongo } from 'mongoose';
import { z } from 'zod';
import { type Role, roleSchema } from '#contracts';
import { collection, isDuplicateKey } from '../store/mongo.js';

/** One document of `users`. `_id` is the userId: a random identifier made before the guard is. */
export const userRowSchema = z.object({
  _id: z.uuid(),
  /** Lower-cased; unique. */
  email: z.string(),
  emailVerified: z.boolean(),
  passwordHash: z.string(),
  roles: z.array(roleSchema),
  /** Raised by whatever ends all sessions; compared with the session's own. */
  sessionEpoch: z.int(),
  createdAt: z.date(),
});
export type UserRow = z.infer<typeof userRowSchema>;

@Injectable()
export class UserRepository implements OnModuleInit {
  private readonly rows: mongo.Collection<UserRow>;

  constructor(@InjectConnection() connection: Connection) {
    this.rows = collection(connection, 'users');
  }

  async onModuleInit(): Promise<void> {
    await this.rows.createIndex({ email: 1 }, { unique: true });
  }

  /** False when the address is taken. */
  async insert(row: UserRow): Promise<boolean> {
    try {
      await this.rows.insertOne(row);
      return true;
    } catch (error) {
      if (isDuplicateKey(error)) return false;
      throw error;
    }
  }

  async findById(userId: string): Promise<UserRow | null> {
    return parsed(await this.rows.findOne({ _id: { $eq: userId } }));
  }

  async findByEmail(email: string): Promise<UserRow | null> {
    return parsed(await this.rows.findOne({ email: { $eq: email } }));
  }

  /** Only while the address is still the one that was mailed. */
  async setEmailVerified(userId: string, email: string): Promise<boolean> {
    const filter = { _id: { $eq: userId }, email: { $eq: email } };
    const { matchedCount } = await this.rows.updateOne(filter, { $set: { emailVerified: true } });
    return matchedCount === 1;
  }

  /** New password and new epoch in one update; null when the epoch moved meanwhile. */
  async setPassword(userId: string, epoch: number, passwordHash: string): Promise<number | null> {
    const filter = { _id: { $eq: userId }, sessionEpoch: { $eq: epoch } };
    const update = { $set: { passwordHash }, $inc: { sessionEpoch: 1 } };
    const { matchedCount } = await this.rows.updateOne(filter, update);
    return matchedCount === 1 ? epoch + 1 : null;
  }

  async raiseSessionEpoch(userId: string): Promise<void> {
    await this.rows.updateOne({ _id: { $eq: userId } }, { $inc: { sessionEpoch: 1 } });
  }

  async addRoles(userId: string, roles: readonly Role[]): Promise<void> {
    await this.rows.updateOne({ _id: { $eq: userId } }, { $addToSet: { roles: { $each: [...roles] } } });
  }
}

const parsed = (row: unknown): UserRow | null => (row === null ? null : userRowSchema.parse(row));
