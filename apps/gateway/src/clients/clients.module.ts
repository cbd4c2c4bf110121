import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { getConnectionToken } from '@nestjs/mongoose';
import type { Connection } from 'mongoose';
import { ServiceClientStore } from '#service-clients';
import { SessionModule } from '../sessions/session.module.js';
import { collection } from '../store/mongo.js';
import { UserModule } from '../users/user.module.js';
import { ClientGuard } from './client.guard.js';
import { ClientThrottle } from './client-throttle.js';
import { ClientsService, IntrospectionService, SERVICE_CLIENTS } from './clients.service.js';
import { IntrospectionController } from './introspection.controller.js';
import { SeenSessions } from './seen-sessions.js';

@Module({
  imports: [SessionModule, UserModule],
  controllers: [IntrospectionController],
  providers: [
    {
      provide: SERVICE_CLIENTS,
      inject: [getConnectionToken()],
      useFactory: async (connection: Connection): Promise<ServiceClientStore> => {
        const store = new ServiceClientStore(collection(connection, 'service_clients'));
        await store.ensureIndexes();
        return store;
      },
    },
    ClientsService,
    ClientThrottle,
    IntrospectionService,
    SeenSessions,
    { provide: APP_GUARD, useClass: ClientGuard },
  ],
})
export class ClientsModule {}
