import type { mongo } from 'mongoose';
import { isDuplicateKey } from './mongo.js';
import { type UserRow, userRowSchema } from './user.js';

interface OfficeRow {
  _id: 'admin';
  holders: string[];
}

/** Nobody is left who could let anybody in. */
export class LastAdminError extends Error {
  override name = 'LastAdminError';
  constructor() {
    super('this is the last administrator');
  }
}

/** An administrator who can sign in: one who has not accepted his invitation is none yet. */
export const isInOffice = (user: UserRow): boolean =>
  user.roles.includes('admin') && !user.disabled && user.invite === null && user.passwordHash !== null;

/**
 * Who is administrator, in one document beside the accounts, so that leaving is one conditional update: of two who strip each
 * other one stays. Whoever stands in it can administer; one who can and stands not in it, after a crash on the way in, is not
 * counted, which errs on the side of an administrator too many.
 */
export class AdminOffice {
  constructor(
    private readonly offices: mongo.Collection<OfficeRow>,
    private readonly users: mongo.Collection<UserRow>,
  ) {}

  /** After the account says so; nothing comes of it where it does not, or not any more. */
  async enter(userId: string): Promise<void> {
    const isOne = async (): Promise<boolean> => {
      const row = await this.users.findOne({ _id: { $eq: userId } });
      return row !== null && isInOffice(userRowSchema.parse(row));
    };
    if (!(await isOne())) return;
    await this.seed();
    await this.offices.updateOne({ _id: { $eq: 'admin' } }, { $addToSet: { holders: userId } });
    // Whoever was stripped meanwhile must not stay in it.
    if (!(await isOne())) await this.left(userId);
  }

  /** After the account says that he is administrator no longer, for whoever came in beside it. */
  async left(userId: string): Promise<void> {
    await this.offices.updateOne({ _id: { $eq: 'admin' } }, { $pull: { holders: userId } });
  }

  /**
   * Before the account says so.
   *
   * @throws LastAdminError where nobody else is in office.
   */
  async leave(userId: string): Promise<void> {
    await this.seed();
    const isNotAlone = { _id: { $eq: 'admin' as const }, holders: { $eq: userId }, 'holders.1': { $exists: true } };
    const left = await this.offices.updateOne(isNotAlone, { $pull: { holders: userId } });
    if (left.matchedCount === 1) return;
    const others = (await this.holders()).filter((id) => id !== userId);
    if (others.length === 0) throw new LastAdminError();
  }

  /** Whether somebody else is in office, while nobody leaves yet. @throws LastAdminError */
  async assertNotAlone(userId: string): Promise<void> {
    const holders = await this.holders();
    if (holders.every((id) => id === userId)) throw new LastAdminError();
  }

  async holders(): Promise<string[]> {
    await this.seed();
    return (await this.offices.findOne({ _id: { $eq: 'admin' } }))?.holders ?? [];
  }

  /** Once in the life of a database, before anybody leaves: whoever is administrator by then. */
  private async seed(): Promise<void> {
    if (await this.offices.findOne({ _id: { $eq: 'admin' } })) return;
    const rows = await this.users
      .find({ roles: { $eq: 'admin' }, disabled: { $ne: true }, invite: { $eq: null }, passwordHash: { $ne: null } })
      .project<{ _id: string }>({ _id: 1 })
      .toArray();
    try {
      await this.offices.insertOne({ _id: 'admin', holders: rows.map(({ _id }) => _id) });
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
    }
  }
}
