import { Global, Module } from '@nestjs/common';
import { getConnectionToken } from '@nestjs/mongoose';
import type { Connection } from 'mongoose';
import { createGuardStore, type GuardStore } from '#guard';
import { SubjectRepository } from '../audit-trail/subject.repository.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { collection } from '../store/mongo.js';

/** Injection token of the guard: the truth about each user's face. */
export const GUARD = Symbol('guard');

@Global()
@Module({
  providers: [
    {
      provide: GUARD,
      inject: [getConnectionToken(), SubjectRepository, GATEWAY_CONFIG],
      useFactory: async (
        connection: Connection,
        { sealer }: SubjectRepository,
        config: GatewayConfig,
      ): Promise<GuardStore> => {
        const guard = createGuardStore({
          collection: collection(connection, 'face_guards'),
          sealer,
          limits: { reEnrolDays: config.RE_ENROLMENT_DAYS, holdHours: config.ENROLMENT_HOLD_HOURS },
        });
        await guard.ensureIndexes();
        return guard;
      },
    },
  ],
  exports: [GUARD],
})
export class GuardModule {}
