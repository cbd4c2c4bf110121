import { randomBytes, randomUUID } from 'node:crypto';
import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import type { mongo } from 'mongoose';
import { Connection } from 'mongoose';
import { AppLogger } from '#observability';
import { collection } from './mongo.js';

const BEAT_MS = 2_000;
/** A gateway that was not heard of for so long was away, or the database was. Well below the time a step may take. */
const GONE_MS = 6_000;
/** How old the epoch may be that a request is given without asking the database again. */
const FRESH_MS = 2 * BEAT_MS;

interface Beats {
  _id: 'gateways';
  epoch: string;
  /** Gateways that are up, and when each was last heard of, by the database's clock. */
  gateways: { id: string; at: Date }[];
}

/**
 * A random value that stays as long as MongoDB and every gateway can be reached. Each gateway writes its time here; one
 * that stayed away without a farewell, a start after nobody was there, and a gateway that answered 503 change it. An
 * attempt begun under another value met an outage: its end is nobody's fault.
 */
@Injectable()
export class StoreEpoch implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly id = randomUUID();
  private readonly beats: mongo.Collection<Beats>;
  private timer: NodeJS.Timeout | undefined;
  private last: { epoch: string; atMs: number } | null = null;
  private beating: Promise<string> | null = null;
  private sawOutage = false;

  constructor(
    @InjectConnection() connection: Connection,
    private readonly logger: AppLogger,
  ) {
    this.beats = collection(connection, 'gateway_beats');
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.beat().catch((err: unknown) => this.missed(err));
    this.timer = setInterval(() => void this.beat().catch((err: unknown) => this.missed(err)), BEAT_MS).unref();
  }

  /** A farewell: what this process leaves undone is finished by others, and no outage. */
  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    await this.beating?.catch(() => undefined);
    await this.beats
      .updateOne({ _id: 'gateways' }, { $pull: { gateways: { id: this.id } } })
      .catch((err: unknown) => this.missed(err));
  }

  /** Somebody was answered 503: the next value is another. */
  noteOutage(): void {
    this.sawOutage = true;
  }

  /** @throws when MongoDB does not answer. */
  async current(): Promise<string> {
    const { last } = this;
    if (last && !this.sawOutage && performance.now() - last.atMs < FRESH_MS) return last.epoch;
    return this.beat();
  }

  /** Null when MongoDB does not answer. */
  async currentOrNull(): Promise<string | null> {
    return this.current().catch(() => null);
  }

  /** Of several that ask at once, one goes. */
  private beat(): Promise<string> {
    this.beating ??= this.write().finally(() => {
      this.beating = null;
    });
    return this.beating;
  }

  private async write(): Promise<string> {
    const { sawOutage } = this;
    const askedMs = performance.now();
    const row = await this.beats.findOneAndUpdate({ _id: 'gateways' }, this.update(sawOutage), {
      upsert: true,
      returnDocument: 'after',
    });
    if (!row) throw new Error('the beat of this gateway was not written');
    if (sawOutage) this.sawOutage = false;
    this.last = { epoch: row.epoch, atMs: askedMs };
    return row.epoch;
  }

  private update(sawOutage: boolean): mongo.Document[] {
    const epoch = randomBytes(16).toString('hex');
    const known = { $ifNull: ['$gateways', []] };
    const since = { $subtract: ['$$NOW', GONE_MS] };
    const heardOf = { $filter: { input: known, as: 'one', cond: { $gt: ['$$one.at', since] } } };
    const others = { $filter: { input: heardOf, as: 'one', cond: { $ne: ['$$one.id', this.id] } } };
    const isWhole = { $and: [!sawOutage, { $gt: [{ $size: known }, 0] }, { $eq: [{ $size: heardOf }, { $size: known }] }] }; // prettier-ignore
    return [
      {
        $set: {
          epoch: { $cond: [isWhole, { $ifNull: ['$epoch', epoch] }, epoch] },
          gateways: { $concatArrays: [others, [{ id: this.id, at: '$$NOW' }]] },
        },
      },
    ];
  }

  private missed(err: unknown): void {
    this.sawOutage = true;
    this.logger.warn({ err }, 'the beat of this gateway was not written');
  }
}
