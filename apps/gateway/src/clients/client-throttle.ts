import { Inject, Injectable } from '@nestjs/common';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { AddressLimiter, Limiter, refuseAfter } from '../redis/limiter.js';
import { RedisStore } from '../redis/redis.js';
import { Keys } from '../store/keys.js';

const WRONG_SECONDS = 15 * 60;
const ASKED_SECONDS = 10;

/**
 * Bounds what one client asks, and by address what wrong credentials set off. A right credential is looked at before
 * either: strangers shut nobody out, and a secret of 256 bits needs no lock.
 */
@Injectable()
export class ClientThrottle {
  private readonly wrong: AddressLimiter;
  private readonly asked: Limiter;

  constructor(redis: RedisStore, keys: Keys, @Inject(GATEWAY_CONFIG) config: GatewayConfig) {
    const wrong = { points: config.CLIENT_FAILURES_PER_NETWORK, seconds: WRONG_SECONDS };
    const asked = { points: config.CLIENT_QUESTIONS_PER_10_SECONDS, seconds: ASKED_SECONDS };
    this.wrong = new AddressLimiter(redis, keys, 'client-wrong', wrong);
    this.asked = new Limiter(redis, keys, 'client-asked', asked);
  }

  /** Throws once there were too many from that address. */
  async countWrong(address: string | undefined): Promise<void> {
    refuseAfter((await this.wrong.take(address)).refusedMs);
  }

  async countAsked(clientId: string): Promise<void> {
    refuseAfter((await this.asked.take(clientId)).refusedMs);
  }
}
