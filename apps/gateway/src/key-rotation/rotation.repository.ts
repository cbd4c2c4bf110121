import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import { Connection, type mongo } from 'mongoose';
import { type KeyRotation, keyRotationSchema } from '#contracts';
import { collection } from '../store/mongo.js';

/** A gateway that says nothing for so long is thought dead, and another goes on. */
const LEASE_MS = 20_000;

/** What the command line has asked for, and which gateway works on it. */
@Injectable()
export class RotationRepository {
  private readonly rows: mongo.Collection<KeyRotation>;
  private readonly owner = randomUUID();

  constructor(@InjectConnection() connection: Connection) {
    this.rows = collection(connection, 'key_rotations');
  }

  /** A rotation that runs and that no other gateway works on. */
  async claim(): Promise<KeyRotation | null> {
    // Mostly there is none: a read tells, and DocumentDB refuses the clock in an update of a collection that is not there.
    if (!(await this.rows.findOne({ state: { $eq: 'running' } }, { projection: { _id: 1 } }))) return null;
    const isFree = { $let: { vars: { now: '$$NOW' }, in: { $lt: ['$leaseUntil', '$$now'] } } };
    const row = await this.rows.findOneAndUpdate(
      { state: { $eq: 'running' }, $or: [{ owner: { $eq: this.owner } }, { $expr: isFree }] },
      [{ $set: { owner: { $literal: this.owner }, leaseUntil: LEASED } }],
      { returnDocument: 'after' },
    );
    return row && keyRotationSchema.parse(row);
  }

  /** The version that counts: the first one named wins. Null: this gateway has lost the rotation to another. */
  async setTarget(rotationId: string, target: string, total: number): Promise<KeyRotation | null> {
    await this.change(rotationId, {
      target: { $ifNull: ['$target', { $literal: target }] },
      total: { $max: [total, '$total'] },
    });
    const row = await this.rows.findOne({ _id: { $eq: rotationId }, owner: { $eq: this.owner } });
    return row && keyRotationSchema.parse(row);
  }

  /** Also puts the end of the lease off. False: lost to another gateway. */
  progress(rotationId: string, moved: number, unopened: number): Promise<boolean> {
    return this.change(rotationId, { moved: { $add: ['$moved', moved] }, unopened });
  }

  async finish(rotationId: string, reason: KeyRotation['reason']): Promise<void> {
    const state = reason === null ? 'done' : 'failed';
    await this.change(rotationId, { state: { $literal: state }, reason: { $literal: reason }, finishedAt: '$$NOW' });
  }

  private async change(rotationId: string, fields: Record<string, unknown>): Promise<boolean> {
    const filter = { _id: { $eq: rotationId }, owner: { $eq: this.owner }, state: { $eq: 'running' as const } };
    const { matchedCount } = await this.rows.updateOne(filter, [{ $set: { ...fields, leaseUntil: LEASED } }]);
    return matchedCount === 1;
  }
}

const LEASED = { $add: ['$$NOW', LEASE_MS] };
