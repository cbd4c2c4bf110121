import type { mongo } from 'mongoose';
import { emailLookupSchema, openAccounts, readEmail, type UserRow } from '#accounts';
import { createProofSealer } from '#audit-log';
import { createGuardStore, type GuardStore } from '#guard';
import { CommandError } from '../command.js';
import { eventProofs } from '../database/event-proofs.js';
import { Database } from '../database/database.repository.js';

export type AccountsAtHand = Pick<ReturnType<typeof openAccounts>, 'accounts' | 'users' | 'links'> & {
  guard: GuardStore;
  db: mongo.Db;
};

const UNFINISHED =
  'the change is made and recorded, but the database failed on the way: a gateway does what follows from it';

/** Accounts of the database of MONGODB_URI, by the same code as the gateway's. */
export async function withAccounts(work: (accounts: AccountsAtHand) => Promise<void>): Promise<void> {
  await Database.with(async (database) => {
    const guard = createGuardStore({
      collection: database.collection('face_guards'),
      sealer: createProofSealer(eventProofs()),
    });
    const { accounts, users, links, ensureIndexes } = openAccounts(database.db, guard, {
      failed: (_, cause) => {
        throw new CommandError(UNFINISHED, { cause });
      },
    });
    // One account an address needs its index, whether or not a gateway has made it.
    await ensureIndexes();
    await work({ accounts, users, links, guard, db: database.db });
  });
}

const UNSUPPORTED_EMAIL = 'no mail can be sent to such an address: it needs ASCII before the @, no quotes, and a full host name after it'; // prettier-ignore

/** The account of an address that was typed. @throws CommandError */
export async function withUser(
  email: string,
  work: (user: UserRow, accounts: AccountsAtHand) => Promise<void>,
): Promise<void> {
  await withAccounts(async (accounts) => {
    const { data } = emailLookupSchema.safeParse(email);
    const user = await accounts.users.findByEmail(data ?? emailOf(email));
    if (!user) throw new CommandError('no account has this e-mail address');
    await work(user, accounts);
  });
}

/** As it is stored. @throws CommandError */
export function emailOf(text: string): string {
  const read = readEmail(text);
  if (read.kind === 'ok') return read.email;
  throw new CommandError(read.kind === 'unsupported' ? UNSUPPORTED_EMAIL : 'this is not an e-mail address');
}
