import { Global, Module } from '@nestjs/common';
import { getConnectionToken } from '@nestjs/mongoose';
import type { Connection } from 'mongoose';
import { Accounts, LinkTokenRepository, openAccounts, PendingChanges, UserRepository } from '#accounts';
import type { GuardStore } from '#guard';
import { AppLogger } from '#observability';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { GUARD } from '../face/guard.module.js';
import { database } from '../store/mongo.js';
import { PendingSweep } from './pending-sweep.js';

/** Users, their mailed links, and what makes and changes accounts. */
@Global()
@Module({
  providers: [
    {
      provide: Accounts,
      inject: [getConnectionToken(), GUARD, AuditNudge, AppLogger],
      useFactory: async (
        connection: Connection,
        guard: GuardStore,
        nudge: AuditNudge,
        logger: AppLogger,
      ): Promise<Accounts> => {
        const { accounts, ensureIndexes } = openAccounts(database(connection), guard, {
          done: (userId, mailIds) => {
            nudge.drain(userId);
            for (const mailId of mailIds) nudge.mail(mailId);
          },
          failed: (userId, err) =>
            logger.error({ userId, err, state: 'change_unfinished' }, 'what follows from a change waits for the sweep'),
        });
        await ensureIndexes();
        return accounts;
      },
    },
    { provide: UserRepository, inject: [Accounts], useFactory: (accounts: Accounts) => accounts.users },
    { provide: LinkTokenRepository, inject: [Accounts], useFactory: (accounts: Accounts) => accounts.links },
    { provide: PendingChanges, inject: [Accounts], useFactory: (accounts: Accounts) => accounts.pending },
    PendingSweep,
  ],
  exports: [Accounts, UserRepository, LinkTokenRepository, PendingChanges],
})
export class UserModule {}
