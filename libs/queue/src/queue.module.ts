import { type DynamicModule, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { BlobStore } from './blob-store.js';
import { JobQueue } from './job-queue.js';
import { JobWorkers } from './job-workers.js';
import { QUEUE_OPTIONS, type QueueModuleOptions } from './options.js';

/** Queues and blobs for one process. Needs the global LoggerModule. */
@Module({})
export class QueueModule {
  static forRoot(options: QueueModuleOptions): DynamicModule {
    return {
      module: QueueModule,
      global: true,
      imports: [DiscoveryModule],
      providers: [{ provide: QUEUE_OPTIONS, useValue: options }, JobQueue, BlobStore, JobWorkers],
      exports: [JobQueue, BlobStore],
    };
  }
}

export type { QueueModuleOptions };
