import { Global, Module } from '@nestjs/common';
import { getConnectionToken } from '@nestjs/mongoose';
import type { Connection } from 'mongoose';
import { blobKeysOf } from '#contracts';
import { createGuardStore, type GuardStore, type SettledAttempt } from '#guard';
import { AppLogger } from '#observability';
import { BlobStore } from '#queue';
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
      inject: [getConnectionToken(), SubjectRepository, GATEWAY_CONFIG, BlobStore, AppLogger],
      useFactory: async (
        connection: Connection,
        { sealer }: SubjectRepository,
        config: GatewayConfig,
        blobs: BlobStore,
        logger: AppLogger,
      ): Promise<GuardStore> => {
        const guard = createGuardStore({
          collection: collection(connection, 'face_guards'),
          sealer,
          limits: { reEnrolDays: config.RE_ENROLMENT_DAYS, holdHours: config.ENROLMENT_HOLD_HOURS },
          // Frames and evidence go with their attempt, whatever ended it; those of a Redis that is away go by their TTL.
          onSettled: ({ attemptId, run, digest }: SettledAttempt) => {
            const inputs = digest.map((framesDigest, i) => ({ step: i + 1, framesDigest }));
            return blobs
              .delete(...blobKeysOf(attemptId, run, inputs))
              .catch((err: unknown) => logger.warn({ attemptId, err }, 'blobs of an ended attempt are left'));
          },
        });
        await guard.ensureIndexes();
        return guard;
      },
    },
  ],
  exports: [GUARD],
})
export class GuardModule {}
