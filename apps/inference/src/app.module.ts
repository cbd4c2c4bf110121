import { type DynamicModule, Module } from '@nestjs/common';
import { LoggerModule } from '#observability';
import { QueueModule } from '#queue';
import { AttemptEvidence } from './attempt-evidence.js';
import type { InferenceConfig } from './config.js';
import { ENGINE, TEMPLATE_KEK } from './engine.js';
import { HealthModule } from './health/health.module.js';
import { InferenceProcessor } from './inference.processor.js';
import { InferenceService } from './inference.service.js';
import { usableCores } from './threads/cores.js';
import { ENGINE_OPTIONS, type EngineOptions, ThreadEngine } from './threads/thread-engine.js';

@Module({})
export class AppModule {
  static forRoot(config: InferenceConfig): DynamicModule {
    const threads = config.INFERENCE_THREADS ?? usableCores();
    return {
      module: AppModule,
      global: true,
      imports: [
        LoggerModule.forRoot({ name: 'inference', level: config.LOG_LEVEL }),
        QueueModule.forRoot({
          redisUrl: config.REDIS_URL,
          blobUrl: config.REDIS_BLOB_URL ?? config.REDIS_URL,
          consumes: ['face.step', 'face.enrol', 'face.match'],
          // One more than threads: a decision needs none and must not wait behind steps.
          concurrency: threads + 1,
        }),
        HealthModule,
      ],
      providers: [
        { provide: ENGINE_OPTIONS, useValue: { manifestPath: config.MODEL_MANIFEST, threads } satisfies EngineOptions },
        { provide: ENGINE, useClass: ThreadEngine },
        { provide: TEMPLATE_KEK, useValue: config.TEMPLATE_KEK },
        AttemptEvidence,
        InferenceService,
        InferenceProcessor,
      ],
      exports: [ENGINE],
    };
  }
}
