import { z } from 'zod';
import type { RoleRequest, UserRow } from '#accounts';
import { roleSchema } from '#contracts';

const userShape = {
  userId: z.uuid(),
  email: z.string(),
  emailVerified: z.boolean(),
  roles: z.array(roleSchema),
  state: z.enum(['invited', 'active', 'disabled']),
  createdAt: z.iso.datetime(),
};
export const userSchema = z.strictObject(userShape).meta({ id: 'User' });

/** Roles that wait for a second administrator. */
export const roleRequestSchema = z
  .strictObject({
    requestId: z.uuid(),
    userId: z.uuid(),
    roles: z.array(roleSchema),
    askedBy: z.uuid(),
    askedAt: z.iso.datetime(),
    expiresAt: z.iso.datetime(),
  })
  .meta({ id: 'RoleRequest' });

/** `roleRequest`: of the roles that the account has not yet. */
export const userRolesSchema = z
  .strictObject({ ...userShape, roleRequest: roleRequestSchema.nullable() })
  .meta({ id: 'UserRoles' });

export const viewOfUser = (user: UserRow): z.infer<typeof userSchema> => ({
  userId: user._id,
  email: user.email,
  emailVerified: user.emailVerified,
  roles: user.roles,
  state: user.disabled ? 'disabled' : user.invite ? 'invited' : 'active',
  createdAt: user.createdAt.toISOString(),
});

export const viewOfRequest = (request: RoleRequest): z.infer<typeof roleRequestSchema> => ({
  requestId: request._id,
  userId: request.userId,
  roles: request.roles,
  askedBy: request.by,
  askedAt: request.at.toISOString(),
  expiresAt: request.expiresAt.toISOString(),
});
