import { randomUUID } from 'node:crypto';
import type { mongo } from 'mongoose';
import { z } from 'zod';
import { roleSchema } from '#contracts';
import type { UserRow } from './user.js';

const HOUR_MS = 3_600_000;
const ROLE_REQUEST_HOURS = 72;
/** How long somebody is administrator before he can be the second one. */
const SECOND_AFTER_DAYS = 7;

/** One document of `role_requests`: roles that one administrator asked for, and another has to give. */
const roleRequestSchema = z.object({
  _id: z.uuid(),
  userId: z.uuid(),
  roles: z.array(roleSchema).min(1),
  /** Who asked. */
  by: z.uuid(),
  at: z.date(),
  expiresAt: z.date(),
});
export type RoleRequest = z.infer<typeof roleRequestSchema>;

/**
 * Whether an administrator may be the second of two: neither who asked, nor whom it is about, nor one whom the asker invited
 * or had part in promoting; and in office for a week, so that nobody makes himself a second one for the purpose.
 */
export function maySecond(admin: UserRow, request: Pick<RoleRequest, 'by' | 'userId'>, now = Date.now()): boolean {
  const since = (admin.adminSince ?? admin.createdAt).getTime();
  return (
    admin._id !== request.by &&
    admin._id !== request.userId &&
    admin.invitedBy !== request.by &&
    !admin.promotedBy.includes(request.by) &&
    since <= now - SECOND_AFTER_DAYS * 24 * HOUR_MS
  );
}

export class RoleRequestRepository {
  constructor(private readonly rows: mongo.Collection<RoleRequest>) {}

  /** A later request about the same person takes the place of an earlier one by the same administrator. */
  async ask(request: Pick<RoleRequest, 'userId' | 'roles' | 'by'>): Promise<RoleRequest> {
    const at = new Date();
    const row = { _id: randomUUID(), ...request, at, expiresAt: new Date(at.getTime() + ROLE_REQUEST_HOURS * HOUR_MS) };
    await this.rows.deleteMany({ userId: { $eq: row.userId }, by: { $eq: row.by } });
    await this.rows.insertOne(row);
    return row;
  }

  /** Those that can still be answered; the others go. */
  async open(): Promise<RoleRequest[]> {
    await this.rows.deleteMany({ expiresAt: { $lte: new Date() } });
    const rows = await this.rows.find({}).sort({ at: 1 }).limit(200).toArray();
    return rows.map((row) => roleRequestSchema.parse(row));
  }

  async find(requestId: string): Promise<RoleRequest | null> {
    const row = await this.rows.findOne({ _id: { $eq: requestId }, expiresAt: { $gt: new Date() } });
    return row && roleRequestSchema.parse(row);
  }

  /** Of several who answer at the same time one does. */
  async take(requestId: string): Promise<RoleRequest | null> {
    const row = await this.rows.findOneAndDelete({ _id: { $eq: requestId }, expiresAt: { $gt: new Date() } });
    return row && roleRequestSchema.parse(row);
  }

  /** Of who is administrator no longer: what he asked for is void. */
  async dropAskedBy(userId: string): Promise<void> {
    await this.rows.deleteMany({ by: { $eq: userId } });
  }
}
