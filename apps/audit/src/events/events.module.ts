import { Module } from '@nestjs/common';
import { MongooseModule } from '@nestjs/mongoose';
import { NotificationsModule } from '../notifications/notifications.module.js';
import { DrainService } from './drain.service.js';
import { EVENT_DAY_MODEL, EVENT_MODEL, eventDaySchema, eventSchema } from './event.schema.js';
import { EventsController } from './events.controller.js';
import { EventsRepository } from './events.repository.js';
import { QueryService } from './query.service.js';
import { SystemOutboxRepository } from './system-outbox.repository.js';

@Module({
  imports: [
    MongooseModule.forFeature([
      { name: EVENT_MODEL, schema: eventSchema },
      { name: EVENT_DAY_MODEL, schema: eventDaySchema },
    ]),
    NotificationsModule,
  ],
  controllers: [EventsController],
  providers: [EventsRepository, SystemOutboxRepository, DrainService, QueryService],
  exports: [EventsRepository, DrainService],
})
export class EventsModule {}
