import { Injectable } from '@nestjs/common';
import { Accounts, maySecond, type RoleRequest, UserRepository, type UserRow } from '#accounts';
import type { Origin, Role } from '#contracts';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { UserEvents } from '../audit-trail/user-events.js';
import { Problem } from '../http/problem.js';
import { Mails } from '../mail/mail.module.js';
import { SessionService } from '../sessions/session.service.js';
import { refusingLastAdmin } from '../users/last-admin.js';

/**
 * Roles by the API: one administrator takes them away, two give them. The second is neither invited nor promoted by the
 * first, and a week in office; whoever runs the host does both alone, at the command line.
 */
@Injectable()
export class RolesService {
  constructor(
    private readonly accounts: Accounts,
    private readonly users: UserRepository,
    private readonly sessions: SessionService,
    private readonly events: UserEvents,
    private readonly mails: Mails,
    private readonly nudge: AuditNudge,
  ) {}

  /** Those that go are gone with the answer; those that come are asked for. */
  async set(
    admin: UserRow,
    userId: string,
    roles: readonly Role[],
    origin: Origin,
  ): Promise<{ user: UserRow; request: RoleRequest | null }> {
    const user = await this.users.findById(userId);
    if (!user) throw new Problem('not_found');
    if (user.erasure) throw new Problem('erasure_pending');
    const add = missing(user, roles);
    if (add.length > 0 && !user.emailVerified && user.invite === null) throw new Problem('email_not_verified');
    if (add.length > 0) await this.assertSecond(admin, userId);
    const remove = user.roles.filter((role) => !roles.includes(role));
    const taken = await refusingLastAdmin(this.accounts.changeRoles(user, { remove }, { actorId: admin._id }));
    if (taken.kind === 'erasing') throw new Problem('erasure_pending');
    if (taken.kind === 'changed' && taken.removed.length > 0) {
      await this.sessions.endAll(userId);
      this.nudge.drain(userId);
    }
    const request = add.length > 0 ? await this.ask(admin, userId, add, origin) : null;
    return { user: taken.kind === 'changed' ? taken.user : user, request };
  }

  /** Somebody must be there who may confirm; `userId`: whom it is about, null where there is no account yet. */
  async assertSecond(admin: UserRow, userId: string | null): Promise<void> {
    const admins = await this.users.findAll(await this.accounts.office.holders());
    const request = { by: admin._id, userId: userId ?? '' };
    if (!admins.some((one) => maySecond(one, request))) throw new Problem('second_person_required');
  }

  async ask(admin: UserRow, userId: string, roles: readonly Role[], origin: Origin): Promise<RoleRequest> {
    const request = await this.accounts.roleRequests.ask({ userId, roles: [...roles], by: admin._id });
    const detail = { by: 'staff', roles: [...roles], request: request._id };
    await this.events.append(userId, 'roles_asked', origin, { actorId: admin._id, detail });
    const params = { roles: roles.join(', '), userId, by: admin._id, requestId: request._id };
    for (const holder of await this.accounts.office.holders()) {
      await this.mails.send({ userId: holder, template: 'role_request', params });
    }
    return request;
  }

  open(): Promise<RoleRequest[]> {
    return this.accounts.roleRequests.open();
  }

  async confirm(admin: UserRow, requestId: string): Promise<UserRow> {
    const request = await this.accounts.roleRequests.find(requestId);
    if (!request) throw new Problem('not_found');
    if (!maySecond(admin, request)) throw new Problem('second_person_required');
    const user = await this.users.findById(request.userId);
    if (!user || !(await this.accounts.roleRequests.take(requestId))) throw new Problem('not_found');
    const actor = { actorId: admin._id, askedBy: request.by };
    const given = await this.accounts.changeRoles(user, { add: request.roles }, actor);
    if (given.kind === 'erasing') throw new Problem('erasure_pending');
    if (given.kind === 'not_proved') throw new Problem('email_not_verified');
    await this.sessions.endAll(user._id);
    this.nudge.drain(user._id);
    return given.user;
  }

  /** By any administrator, who asked included. */
  async refuse(admin: UserRow, requestId: string, origin: Origin): Promise<void> {
    const request = await this.accounts.roleRequests.take(requestId);
    if (!request) throw new Problem('not_found');
    const detail = { by: 'staff', roles: request.roles, request: request._id };
    await this.events.append(request.userId, 'roles_refused', origin, { actorId: admin._id, detail });
  }
}

/** Of the roles wanted those that the account, if there is one, has not. */
export const missing = (user: UserRow | null, roles: readonly Role[]): Role[] =>
  [...new Set(roles)].filter((role) => role !== 'user' && !user?.roles.includes(role));
