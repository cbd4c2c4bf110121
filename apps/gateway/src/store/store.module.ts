import { Global, Module } from '@nestjs/common';
import { WorkerSeal } from '../keys/worker-seal.js';
import { Keys } from './keys.js';
import { MongoVersion } from './mongo-version.repository.js';
import { RedisModule } from '../redis/redis.js';
import { TransportEpoch } from '../redis/transport-epoch.js';

/** Redis, keys and the transport's epoch for every feature. */
@Global()
@Module({
  imports: [RedisModule],
  providers: [Keys, MongoVersion, TransportEpoch, WorkerSeal],
  exports: [RedisModule, Keys, TransportEpoch, WorkerSeal],
})
export class StoreModule {}
