import { type DynamicModule, Module } from '@nestjs/common';
import { getConnectionToken, MongooseModule } from '@nestjs/mongoose';
import type { Connection, mongo } from 'mongoose';
import { makesIndexes } from '#config';
import { createEventSealer, EventProofs, SearchTags } from '#audit-log';
import { createGuardStore, createNewGuards, type GuardDocument } from '#guard';
import type { AuditConfig } from './config.js';
import { GUARD_STORE, NEW_GUARDS } from './guard-store.js';
import { SubjectsRepository } from './log/subjects.repository.js';
import { MongoVersion } from './mongo-version.repository.js';
import { TurnsRepository } from './turns.repository.js';
import { UsersRepository } from './users.repository.js';

/** The connection, and what every feature reads through it. Nothing counts as stored before a majority has it on disk. */
@Module({})
export class DatabaseModule {
  static forRoot({ MONGODB_URI, EVENT_KEK, EVENT_MAC_KEY, NODE_ENV }: AuditConfig): DynamicModule {
    return {
      module: DatabaseModule,
      global: true,
      imports: [
        MongooseModule.forRoot(MONGODB_URI, {
          writeConcern: { w: 'majority', journal: true },
          bufferCommands: false,
          autoCreate: makesIndexes({ NODE_ENV }),
          autoIndex: makesIndexes({ NODE_ENV }),
          serverSelectionTimeoutMS: 2_000,
          socketTimeoutMS: 20_000,
        }),
      ],
      providers: [
        {
          provide: GUARD_STORE,
          inject: [getConnectionToken(), SubjectsRepository],
          useFactory: (connection: Connection, subjects: SubjectsRepository) =>
            createGuardStore({
              collection: guardsOf(connection),
              sealer: createEventSealer(subjects.keys, new SearchTags(EVENT_KEK), {
                closed: 'leave_out',
                proofs: EVENT_MAC_KEY ? new EventProofs(EVENT_MAC_KEY) : null,
              }),
            }),
        },
        {
          provide: NEW_GUARDS,
          inject: [getConnectionToken()],
          useFactory: (connection: Connection) => createNewGuards({ collection: guardsOf(connection) }),
        },
        TurnsRepository,
        SubjectsRepository,
        MongoVersion,
        UsersRepository,
      ],
      exports: [GUARD_STORE, NEW_GUARDS, SubjectsRepository, TurnsRepository, UsersRepository],
    };
  }
}

const guardsOf = (connection: Connection): mongo.Collection<GuardDocument> =>
  connection.getClient().db(connection.name).collection('face_guards');
