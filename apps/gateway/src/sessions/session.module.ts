import { Module } from '@nestjs/common';
import { ClientTokens } from './client-tokens.js';
import { CredentialRenewal } from './credential-renewal.js';
import { LostAnswers } from './lost-answers.js';
import { SessionService } from './session.service.js';

@Module({
  providers: [ClientTokens, CredentialRenewal, LostAnswers, SessionService],
  exports: [ClientTokens, CredentialRenewal, LostAnswers, SessionService],
})
export class SessionModule {}
