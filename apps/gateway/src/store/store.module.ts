import { Global, Module } from '@nestjs/common';
import { WorkerSeal } from '../keys/worker-seal.js';
import { Keys } from './keys.js';
import { MongoVersion } from './mongo-version.repository.js';
import { StoreEpoch } from './store-epoch.repository.js';
import { RedisModule } from '../redis/redis.js';
import { TransportEpoch } from '../redis/transport-epoch.js';

/** Redis, keys and the epochs of what an attempt needs, for every feature. */
@Global()
@Module({
  imports: [RedisModule],
  providers: [Keys, MongoVersion, StoreEpoch, TransportEpoch, WorkerSeal],
  exports: [RedisModule, Keys, StoreEpoch, TransportEpoch, WorkerSeal],
})
export class StoreModule {}
