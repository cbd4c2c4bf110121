import { Global, Module } from '@nestjs/common';
import { getConnectionToken } from '@nestjs/mongoose';
import type { Connection } from 'mongoose';
import { createGuardStore, type GuardStore } from '#guard';
import { collection } from '../store/mongo.js';

/** Injection token of the guard: the truth about each user's face. */
export const GUARD = Symbol('guard');

@Global()
@Module({
  providers: [
    {
      provide: GUARD,
      inject: [getConnectionToken()],
      useFactory: async (connection: Connection): Promise<GuardStore> => {
        const guard = createGuardStore({ collection: collection(connection, 'face_guards') });
        await guard.ensureIndexes();
        return guard;
      },
    },
  ],
  exports: [GUARD],
})
export class GuardModule {}
