import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { TransportDownError } from '#queue';
import { RedisStore } from './redis.js';

const KEY = 'countersign:transport-epoch';

/**
 * A random value that Redis keeps as long as it keeps its data. An attempt begun under another value than the current
 * one has lost its jobs: its expiry is nobody's fault.
 */
@Injectable()
export class TransportEpoch {
  constructor(private readonly redis: RedisStore) {}

  /** @throws TransportDownError */
  async current(): Promise<string> {
    return this.redis.ask(async (redis) => {
      const fresh = randomBytes(16).toString('hex');
      await redis.set(KEY, fresh, 'NX');
      return (await redis.get(KEY)) ?? fresh;
    });
  }

  /** Null when Redis does not answer. */
  async currentOrNull(): Promise<string | null> {
    try {
      return await this.current();
    } catch (error) {
      if (error instanceof TransportDownError) return null;
      throw error;
    }
  }
}
