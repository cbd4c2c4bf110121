import { Module } from '@nestjs/common';
import { LogModule } from '../log/log.module.js';
import { NotificationsModule } from '../notifications/notifications.module.js';
import { DrainService } from './drain.service.js';
import { EventsController } from './events.controller.js';
import { EventsRepository } from './events.repository.js';
import { QueryService } from './query.service.js';
import { SystemOutboxRepository } from './system-outbox.repository.js';

@Module({
  imports: [LogModule, NotificationsModule],
  controllers: [EventsController],
  providers: [EventsRepository, SystemOutboxRepository, DrainService, QueryService],
  exports: [LogModule, DrainService],
})
export class EventsModule {}
