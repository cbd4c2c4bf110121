import { Module } from '@nestjs/common';
import { FaceModule } from '../face/face.module.js';
import { SessionModule } from '../sessions/session.module.js';
import { AuditClient } from './audit-client.js';
import { NotMeController } from './not-me.controller.js';
import { NotMeRepository } from './not-me.repository.js';
import { SecurityEventsController } from './security-events.controller.js';

@Module({
  imports: [FaceModule, SessionModule],
  controllers: [NotMeController, SecurityEventsController],
  providers: [AuditClient, NotMeRepository],
})
export class SecurityEventsModule {}
