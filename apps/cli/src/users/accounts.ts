import type { mongo } from 'mongoose';
import { openAccounts } from '#accounts';
import { createGuardStore, type GuardStore, nothingPersonal } from '#guard';
import { CommandError } from '../command.js';
import { Database } from '../database/database.repository.js';

export type AccountsAtHand = Pick<ReturnType<typeof openAccounts>, 'accounts' | 'users'> & {
  guard: GuardStore;
  db: mongo.Db;
};

const UNFINISHED =
  'the change is made and recorded, but the database failed on the way: a gateway does what follows from it';

/** Accounts of the database of MONGODB_URI, by the same code as the gateway's. */
export async function withAccounts(work: (accounts: AccountsAtHand) => Promise<void>): Promise<void> {
  await Database.with(async (database) => {
    const guard = createGuardStore({ collection: database.collection('face_guards'), sealer: nothingPersonal });
    const { accounts, users, ensureIndexes } = openAccounts(database.db, guard, {
      failed: (_, cause) => {
        throw new CommandError(UNFINISHED, { cause });
      },
    });
    // One account an address needs its index, whether or not a gateway has made it.
    await ensureIndexes();
    await work({ accounts, users, guard, db: database.db });
  });
}
