import { Global, Module } from '@nestjs/common';
import { Keys } from './keys.js';
import { RedisModule } from '../redis/redis.js';
import { TransportEpoch } from '../redis/transport-epoch.js';

/** Redis, keys and the transport's epoch for every feature. */
@Global()
@Module({ imports: [RedisModule], providers: [Keys, TransportEpoch], exports: [RedisModule, Keys, TransportEpoch] })
export class StoreModule {}
