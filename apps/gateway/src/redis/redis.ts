import { Inject, Injectable, Module, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { Redis } from 'ioredis';
import { asking, isWrongServer } from '#queue';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';

const TIMEOUT_MS = 700;

/**
 * The gateway's own Redis connection: sessions, rate limits, digests of frames. Fails fast while Redis is away, and
 * every failure is a TransportDownError.
 */
@Injectable()
export class RedisStore implements OnModuleInit, OnApplicationShutdown {
  readonly client: Redis;

  constructor(@Inject(GATEWAY_CONFIG) config: GatewayConfig) {
    this.client = new Redis(config.REDIS_URL, {
      lazyConnect: true,
      maxRetriesPerRequest: 1,
      enableOfflineQueue: false,
      connectTimeout: TIMEOUT_MS,
      retryStrategy: (times) => Math.min(times * 100, 1_000),
      reconnectOnError: isWrongServer,
    });
    // Each command reports its own failure; without a listener the connection's errors would end the process.
    this.client.on('error', () => undefined);
  }

  async onModuleInit(): Promise<void> {
    await this.ask((redis) => redis.connect());
  }

  ask<T>(command: (redis: Redis) => Promise<T>): Promise<T> {
    return asking(() => command(this.client), TIMEOUT_MS);
  }

  onApplicationShutdown(): void {
    this.client.disconnect();
  }
}

@Module({ providers: [RedisStore], exports: [RedisStore] })
export class RedisModule {}
