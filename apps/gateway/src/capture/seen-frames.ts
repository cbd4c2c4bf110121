import { Injectable } from '@nestjs/common';
import { Keys } from '../store/keys.js';
import { RedisStore } from '../redis/redis.js';
import type { Frame } from './frames-container.js';

/**
 * Frames of a user's last minutes, as keyed digests: footage that is sent again, in another step or attempt, is not
 * accepted. A repeat inside one step is for the worker to judge.
 */
@Injectable()
export class SeenFrames {
  constructor(
    private readonly redis: RedisStore,
    private readonly keys: Keys,
  ) {}

  digests(userId: string, frames: readonly Frame[]): string[] {
    return [...new Set(frames.map(({ bytes }) => this.keys.mac('frame-digest', userId, bytes).toString('base64url')))];
  }

  /** Whether some frame was seen elsewhere than in this very step of this attempt. */
  async elsewhere(digests: readonly string[], place: string): Promise<boolean> {
    const owners = await this.redis.ask((redis) => redis.mget(digests.map(keyOf)));
    return owners.some((owner) => owner !== null && owner !== place);
  }

  async remember(digests: readonly string[], place: string, ttlSeconds: number): Promise<void> {
    await this.redis.ask(async (redis) => {
      const batch = redis.pipeline();
      for (const digest of digests) batch.set(keyOf(digest), place, 'EX', ttlSeconds);
      await batch.exec();
    });
  }
}

export const placeOf = (attemptId: string, step: number): string => `${attemptId}:${step}`;
const keyOf = (digest: string): string => `frame-seen:${digest}`;
