import { Global, Module } from '@nestjs/common';
import { AuditNudge } from './audit-nudge.js';
import { Forgeries } from './forgeries.js';
import { Refusals } from './refusals.js';
import { StaffReads } from './staff-reads.js';
import { SubjectRepository } from './subject.repository.js';
import { SystemOutboxRepository } from './system-outbox.repository.js';
import { SystemOutbox } from './system-outbox.js';
import { UserEvents } from './user-events.js';

/** Where events go in; every feature leaves some. */
@Global()
@Module({
  providers: [
    AuditNudge,
    Forgeries,
    Refusals,
    StaffReads,
    SubjectRepository,
    SystemOutbox,
    SystemOutboxRepository,
    UserEvents,
  ],
  exports: [AuditNudge, Forgeries, Refusals, StaffReads, SubjectRepository, SystemOutbox, UserEvents],
})
export class AuditTrailModule {}
