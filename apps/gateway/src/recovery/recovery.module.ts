import { Module } from '@nestjs/common';
import { MailModule } from '../mail/mail.module.js';
import { SessionModule } from '../sessions/session.module.js';
import { RecoveryController } from './recovery.controller.js';
import { RecoveryRepository } from './recovery.repository.js';
import { RecoveryService } from './recovery.service.js';

@Module({
  imports: [MailModule, SessionModule],
  controllers: [RecoveryController],
  providers: [RecoveryRepository, RecoveryService],
})
export class RecoveryModule {}
