import { Module } from '@nestjs/common';
import { CredentialRenewal } from './credential-renewal.js';
import { LostAnswers } from './lost-answers.js';
import { SessionService } from './session.service.js';

@Module({
  providers: [CredentialRenewal, LostAnswers, SessionService],
  exports: [CredentialRenewal, LostAnswers, SessionService],
})
export class SessionModule {}
