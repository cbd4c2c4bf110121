import { Global, Module } from '@nestjs/common';
import { getConnectionToken } from '@nestjs/mongoose';
import type { Connection } from 'mongoose';
import { Accounts, LinkTokenRepository, openAccounts, UserRepository } from '#accounts';
import type { GuardStore } from '#guard';
import { GUARD } from '../face/guard.module.js';
import { database } from '../store/mongo.js';

/** Users, their mailed links, and what makes and changes accounts. */
@Global()
@Module({
  providers: [
    {
      provide: Accounts,
      inject: [getConnectionToken(), GUARD],
      useFactory: async (connection: Connection, guard: GuardStore): Promise<Accounts> => {
        const { accounts, ensureIndexes } = openAccounts(database(connection), guard);
        await ensureIndexes();
        return accounts;
      },
    },
    { provide: UserRepository, inject: [Accounts], useFactory: (accounts: Accounts) => accounts.users },
    { provide: LinkTokenRepository, inject: [Accounts], useFactory: (accounts: Accounts) => accounts.links },
  ],
  exports: [Accounts, UserRepository, LinkTokenRepository],
})
export class UserModule {}
