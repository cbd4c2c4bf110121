import { type DynamicModule, Module } from '@nestjs/common';
import { serverPolicy } from '#config';
import { LoggerModule } from '#observability';
import { QueueModule } from '#queue';
import { AuditProcessor } from './audit.processor.js';
import { AUDIT_CONFIG, type AuditConfig } from './config.js';
import { DatabaseModule } from './database.module.js';
import { EventsModule } from './events/events.module.js';
import { HealthModule } from './health/health.module.js';
import { NotificationsModule } from './notifications/notifications.module.js';
import { OrphansModule } from './orphans/orphans.module.js';
import { PrivacyModule } from './privacy/privacy.module.js';
import { RemindersModule } from './reminders/reminders.module.js';
import { RetentionModule } from './retention/retention.module.js';
import { SWEEP_INTERVAL_MS, Sweeper } from './sweeper.js';

const SWEEP_MS = 5_000;

@Module({})
export class AppModule {
  static forRoot(config: AuditConfig, sweepMs = SWEEP_MS): DynamicModule {
    return {
      module: AppModule,
      global: true,
      imports: [
        LoggerModule.forRoot({
          name: 'audit',
          level: config.LOG_LEVEL,
          metrics: { host: config.METRICS_HOST, port: config.METRICS_PORT },
        }),
        QueueModule.forRoot({
          redisUrl: config.REDIS_URL,
          blobUrl: config.REDIS_BLOB_URL ?? config.REDIS_URL,
          consumes: ['audit.drain', 'audit.mail', 'audit.erase'],
          concurrency: 4,
          oldServer: serverPolicy(config.NODE_ENV, config.ALLOW_OLD_REDIS),
        }),
        DatabaseModule.forRoot(config),
        EventsModule,
        NotificationsModule,
        OrphansModule,
        PrivacyModule,
        RemindersModule,
        RetentionModule,
        HealthModule,
      ],
      providers: [
        { provide: AUDIT_CONFIG, useValue: config },
        { provide: SWEEP_INTERVAL_MS, useValue: sweepMs },
        AuditProcessor,
        Sweeper,
      ],
      exports: [AUDIT_CONFIG],
    };
  }
}
