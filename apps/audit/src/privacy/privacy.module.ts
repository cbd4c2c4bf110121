import { Module } from '@nestjs/common';
import { MongooseModule } from '@nestjs/mongoose';
import { EventsModule } from '../events/events.module.js';
import { NotificationsModule } from '../notifications/notifications.module.js';
import { ERASURE_MODEL, erasureSchema } from './erasure.schema.js';
import { ErasureService } from './erasure.service.js';
import { ErasureSteps } from './erasure-steps.js';
import { ErasuresRepository } from './erasures.repository.js';
import { PersonalDataRepository } from './personal-data.repository.js';

@Module({
  imports: [
    MongooseModule.forFeature([{ name: ERASURE_MODEL, schema: erasureSchema }]),
    EventsModule,
    NotificationsModule,
  ],
  providers: [ErasuresRepository, PersonalDataRepository, ErasureSteps, ErasureService],
  exports: [ErasureService],
})
export class PrivacyModule {}
