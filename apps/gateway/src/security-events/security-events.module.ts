import { Module } from '@nestjs/common';
import { AuditClient } from './audit-client.js';
import { SecurityEventsController } from './security-events.controller.js';

@Module({ controllers: [SecurityEventsController], providers: [AuditClient] })
export class SecurityEventsModule {}
