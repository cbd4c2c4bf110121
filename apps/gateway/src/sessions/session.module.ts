import { Module } from '@nestjs/common';
import { CredentialRenewal } from './credential-renewal.js';
import { SessionService } from './session.service.js';

@Module({ providers: [CredentialRenewal, SessionService], exports: [CredentialRenewal, SessionService] })
export class SessionModule {}
