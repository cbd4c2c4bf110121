import { Module } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { LogModule } from '../log/log.module.js';
import { NotificationsModule } from '../notifications/notifications.module.js';
import { Gauges } from './gauges.js';
import { HealthController } from './health.controller.js';

@Module({
  imports: [TerminusModule.forRoot({ logger: false }), LogModule, NotificationsModule],
  controllers: [HealthController],
  providers: [Gauges],
})
export class HealthModule {}
