import { type DynamicModule, Module } from '@nestjs/common';
import { getConnectionToken, MongooseModule } from '@nestjs/mongoose';
import type { Connection } from 'mongoose';
import { createGuardStore } from '#guard';
import { GUARD_STORE } from './guard-store.js';
import { UsersRepository } from './users.repository.js';

/** The connection, and what every feature reads through it. Nothing counts as stored before a majority has it on disk. */
@Module({})
export class DatabaseModule {
  static forRoot(uri: string): DynamicModule {
    return {
      module: DatabaseModule,
      global: true,
      imports: [
        MongooseModule.forRoot(uri, {
          writeConcern: { w: 'majority', journal: true },
          bufferCommands: false,
          serverSelectionTimeoutMS: 2_000,
          socketTimeoutMS: 20_000,
        }),
      ],
      providers: [
        {
          provide: GUARD_STORE,
          inject: [getConnectionToken()],
          useFactory: (connection: Connection) =>
            createGuardStore({ collection: connection.getClient().db(connection.name).collection('face_guards') }),
        },
        UsersRepository,
      ],
      exports: [GUARD_STORE, UsersRepository],
    };
  }
}
