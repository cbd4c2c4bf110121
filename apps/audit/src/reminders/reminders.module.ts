import { Module } from '@nestjs/common';
import { NotificationsModule } from '../notifications/notifications.module.js';
import { RemindersService } from './reminders.service.js';
import { EnrolledTemplatesRepository } from './templates.repository.js';

@Module({
  imports: [NotificationsModule],
  providers: [EnrolledTemplatesRepository, RemindersService],
  exports: [RemindersService],
})
export class RemindersModule {}
