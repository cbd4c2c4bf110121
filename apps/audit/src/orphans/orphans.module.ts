import { Module } from '@nestjs/common';
import { EventsModule } from '../events/events.module.js';
import { OrphansService } from './orphans.service.js';
import { OrphanTemplatesRepository } from './templates.repository.js';

@Module({
  imports: [EventsModule],
  providers: [OrphanTemplatesRepository, OrphansService],
  exports: [OrphansService],
})
export class OrphansModule {}
