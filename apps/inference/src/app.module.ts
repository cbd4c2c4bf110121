import { type DynamicModule, Module } from '@nestjs/common';
import { serverPolicy } from '#config';
import { LoggerModule } from '#observability';
import { QueueModule } from '#queue';
import { newestOf } from '#sealing';
import { AttemptEvidence } from './attempt-evidence.js';
import type { InferenceConfig } from './config.js';
import { ENGINE } from './engine.js';
import { HealthModule } from './health/health.module.js';
import { InferenceProcessor } from './inference.processor.js';
import { InferenceService } from './inference.service.js';
import { KEK_PROVIDER } from './keys/kek-provider.js';
import { LocalKeks } from './keys/local-keks.js';
import { ResultSender } from './keys/result-sender.js';
import { WORKER_KEYS, type WorkerKeys } from './keys/worker-keys.js';
import { RewrapService } from './template/rewrap.service.js';
import { usableCores } from './threads/cores.js';
import { ModelsReporter } from './threads/models-report.js';
import { ENGINE_OPTIONS, type EngineOptions, ThreadEngine } from './threads/thread-engine.js';

@Module({})
export class AppModule {
  static forRoot(config: InferenceConfig): DynamicModule {
    const threads = config.INFERENCE_THREADS ?? usableCores();
    return {
      module: AppModule,
      global: true,
      imports: [
        LoggerModule.forRoot({
          name: 'inference',
          level: config.LOG_LEVEL,
          metrics: { host: config.METRICS_HOST, port: config.METRICS_PORT },
        }),
        QueueModule.forRoot({
          redisUrl: config.REDIS_URL,
          blobUrl: config.REDIS_BLOB_URL ?? config.REDIS_URL,
          consumes: ['face.step', 'face.enrol', 'face.match', 'template.rewrap'],
          // One more than threads: a decision needs none and must not wait behind steps.
          concurrency: threads + 1,
          oldServer: serverPolicy(config.NODE_ENV, config.ALLOW_OLD_REDIS),
        }),
        HealthModule,
      ],
      providers: [
        { provide: ENGINE_OPTIONS, useValue: { manifestPath: config.MODEL_MANIFEST, threads } satisfies EngineOptions },
        { provide: ENGINE, useClass: ThreadEngine },
        { provide: WORKER_KEYS, useValue: keysOf(config) },
        { provide: KEK_PROVIDER, useValue: new LocalKeks(config.TEMPLATE_KEK) },
        AttemptEvidence,
        RewrapService,
        ResultSender,
        ModelsReporter,
        InferenceService,
        InferenceProcessor,
      ],
      exports: [ENGINE],
    };
  }
}

const keysOf = (config: InferenceConfig): WorkerKeys => ({
  evidence: config.EVIDENCE_KEY,
  frames: config.FRAME_PRIVATE_KEYS,
  signing: newestOf(config.RESULT_PRIVATE_KEY),
  similarity: newestOf(config.SIMILARITY_PUBLIC_KEY),
});
