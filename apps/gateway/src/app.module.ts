import { type DynamicModule, Module } from '@nestjs/common';
import { serverPolicy } from '#config';
import { LoggerModule } from '#observability';
import { QueueModule } from '#queue';
import { AdminModule } from './admin/admin.module.js';
import { AuditTrailModule } from './audit-trail/audit-trail.module.js';
import { AuthModule } from './auth/auth.module.js';
import { CaptureModule } from './capture/capture.module.js';
import { ClientsModule } from './clients/clients.module.js';
import { ConfigModule } from './config.module.js';
import type { GatewayConfig } from './config.js';
import { ConsentModule } from './consent/consent.module.js';
import { FaceModule } from './face/face.module.js';
import { GuardModule } from './face/guard.module.js';
import { HealthModule } from './health/health.module.js';
import { HttpModule } from './http/http.module.js';
import { PrivacyModule } from './privacy/privacy.module.js';
import { RecoveryModule } from './recovery/recovery.module.js';
import { ResultsModule } from './results/results.module.js';
import { SecurityEventsModule } from './security-events/security-events.module.js';
import { KeyRotationModule } from './key-rotation/key-rotation.module.js';
import { mongoModule } from './store/mongo.js';
import { StoreModule } from './store/store.module.js';

const RESULTS_AT_ONCE = 8;

/** The map of the gateway: what it stands on, then a line a feature. */
@Module({})
export class AppModule {
  static forRoot(config: GatewayConfig): DynamicModule {
    return {
      module: AppModule,
      imports: [
        ConfigModule.forRoot(config),
        LoggerModule.forRoot({
          name: 'gateway',
          level: config.LOG_LEVEL,
          metrics: { host: config.METRICS_HOST, port: config.METRICS_PORT },
        }),
        QueueModule.forRoot({
          redisUrl: config.REDIS_URL,
          blobUrl: config.REDIS_BLOB_URL,
          consumes: ['face.result', 'worker.models'],
          concurrency: RESULTS_AT_ONCE,
          oldServer: serverPolicy(config.NODE_ENV, config.ALLOW_OLD_REDIS),
        }),
        mongoModule(config),
        StoreModule,
        GuardModule,
        AuditTrailModule,
        ClientsModule,
        HttpModule,

        AuthModule,
        ConsentModule,
        FaceModule,
        CaptureModule,
        ResultsModule,
        RecoveryModule,
        SecurityEventsModule,
        AdminModule,
        PrivacyModule,
        KeyRotationModule,
        HealthModule,
      ],
    };
  }
}
