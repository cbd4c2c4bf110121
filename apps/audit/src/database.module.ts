import { type DynamicModule, Module } from '@nestjs/common';
import { getConnectionToken, MongooseModule } from '@nestjs/mongoose';
import type { Connection } from 'mongoose';
import { createEventSealer, SearchTags } from '#audit-log';
import { createGuardStore } from '#guard';
import type { AuditConfig } from './config.js';
import { GUARD_STORE } from './guard-store.js';
import { SubjectsRepository } from './log/subjects.repository.js';
import { MongoVersion } from './mongo-version.repository.js';
import { UsersRepository } from './users.repository.js';

/** The connection, and what every feature reads through it. Nothing counts as stored before a majority has it on disk. */
@Module({})
export class DatabaseModule {
  static forRoot({ MONGODB_URI, EVENT_KEK }: AuditConfig): DynamicModule {
    return {
      module: DatabaseModule,
      global: true,
      imports: [
        MongooseModule.forRoot(MONGODB_URI, {
          writeConcern: { w: 'majority', journal: true },
          bufferCommands: false,
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
              collection: connection.getClient().db(connection.name).collection('face_guards'),
              sealer: createEventSealer(subjects.keys, new SearchTags(EVENT_KEK)),
            }),
        },
        SubjectsRepository,
        MongoVersion,
        UsersRepository,
      ],
      exports: [GUARD_STORE, SubjectsRepository, UsersRepository],
    };
  }
}
