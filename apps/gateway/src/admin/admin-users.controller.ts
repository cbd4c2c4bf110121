import { randomUUID } from 'node:crypto';
import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import {
  Accounts,
  emailLookupSchema,
  emailSchema,
  localeSchema,
  MailRepository,
  UserRepository,
  type UserRow,
} from '#accounts';
import { type Origin, roleSchema } from '#contracts';
import type { GuardStore } from '#guard';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { StaffReads } from '../audit-trail/staff-reads.js';
import { GUARD } from '../face/guard.module.js';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { Problem } from '../http/problem.js';
import { CurrentUser } from '../http/session.guard.js';
import { CredentialRenewal } from '../sessions/credential-renewal.js';
import { refusingLastAdmin } from '../users/last-admin.js';
import { missing, RolesService } from './roles.service.js';
import { userRolesSchema, userSchema, viewOfRequest, viewOfUser } from './views.js';

const userParams = z.strictObject({ id: z.uuid() });
const inviteSchema = z.strictObject({
  email: emailSchema,
  roles: z.array(roleSchema).max(5).default([]),
  locale: localeSchema.optional(),
});
const listQuery = z.strictObject({
  cursor: z.uuid().optional(),
  email: emailLookupSchema.optional(),
  limit: z
    .string()
    .regex(/^\d{1,3}$/)
    .transform(Number)
    .pipe(z.int().min(1).max(200))
    .default(50),
});
const usersSchema = z.strictObject({ users: z.array(userSchema), nextCursor: z.uuid().nullable() });
const someTime = z.iso.datetime().nullable();
const faceSchema = z
  .strictObject({
    enrolled: z.boolean(),
    everEnrolled: z.boolean(),
    required: z.boolean(),
    consentVersion: z.string().nullable(),
    lockedUntil: someTime,
    heldUntil: someTime,
    reEnrolBy: someTime,
    disabledByStrikes: z.boolean(),
  })
  .meta({ id: 'FaceState' });

/** What staff may do to other people's accounts. Every call leaves an event with the actor in the person's own trail. */
@Controller('v1/admin/users')
export class AdminUsersController {
  constructor(
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly accounts: Accounts,
    private readonly users: UserRepository,
    private readonly mails: MailRepository,
    private readonly roles: RolesService,
    private readonly renewal: CredentialRenewal,
    private readonly reads: StaffReads,
    private readonly nudge: AuditNudge,
  ) {}

  /**
   * Nobody knows another person's password: the account is made without one, and its owner sets it by the mailed link. Its
   * roles wait for a second administrator.
   */
  @Post()
  @Accepts({ body: inviteSchema })
  @Answers({ summary: 'Makes an account and mails its owner an invitation', schema: userRolesSchema, errors: ['email_taken', 'email_unsupported', 'second_person_required'], idempotent: true }) // prettier-ignore
  async invite(
    @CurrentUser() admin: UserRow,
    @Body() body: z.infer<typeof inviteSchema>,
    @RequestOrigin() origin: Origin,
  ): Promise<z.infer<typeof userRolesSchema>> {
    const { locale, email, roles } = body;
    const before = await this.users.findByEmail(email);
    const add = missing(before, roles);
    if (before && before.invite === null) throw new Problem('email_taken');
    if (add.length > 0) await this.roles.assertSecond(admin, before?._id ?? null);
    // An invitation that is sent anew keeps the roles that it names again.
    const kept = roles.filter((role) => !add.includes(role));
    const account = { email, roles: kept, ...(locale === undefined ? {} : { locale }), actorId: admin._id, origin };
    const invited = await this.accounts.invite(account, this.mails);
    if (invited.kind === 'email_taken') throw new Problem('email_taken');
    const request = add.length > 0 ? await this.roles.ask(admin, invited.user._id, add, origin) : null;
    return { ...viewOfUser(invited.user), roleRequest: request && viewOfRequest(request) };
  }

  @Get()
  @Accepts({ query: listQuery })
  @Answers({ summary: 'Who has an account', schema: usersSchema, errors: ['email_unsupported'] })
  async list(
    @CurrentUser() admin: UserRow,
    @Query() { cursor, email, limit }: z.infer<typeof listQuery>,
    @RequestOrigin() origin: Origin,
  ): Promise<z.infer<typeof usersSchema>> {
    const role = admin.roles.includes('admin') ? 'admin' : 'security';
    if (email !== undefined) {
      const user = await this.users.findByEmail(email);
      const detail = { object: 'account', filter: ['email'] };
      await this.reads.record(admin, { detail, person: user?._id, role }, origin);
      return { users: user ? [viewOfUser(user)] : [], nextCursor: null };
    }
    const filter = cursor === undefined ? [] : ['cursor'];
    await this.reads.record(admin, { detail: { object: 'accounts', filter, limit }, role }, origin);
    const users = await this.users.list({ after: cursor ?? null, limit });
    return { users: users.map(viewOfUser), nextCursor: users.length === limit ? (users.at(-1)?._id ?? null) : null };
  }

  /** Ends every session of that person at once. */
  @Post(':id/disable')
  @HttpCode(204)
  @Accepts({ params: userParams })
  @Answers({ summary: 'Shuts a person out', errors: ['not_found', 'last_admin'] })
  async disable(
    @CurrentUser() admin: UserRow,
    @Param() { id }: z.infer<typeof userParams>,
    @RequestOrigin() origin: Origin,
  ): Promise<void> {
    const disabled = await refusingLastAdmin(this.renewal.renew(id, { by: 'disable', actorId: admin._id }, origin));
    if (!disabled) throw new Problem('not_found');
  }

  @Post(':id/enable')
  @HttpCode(204)
  @Accepts({ params: userParams })
  @Answers({ summary: 'Lets a disabled person in again', errors: ['not_found'] })
  async enable(
    @CurrentUser() admin: UserRow,
    @Param() { id }: z.infer<typeof userParams>,
    @RequestOrigin() origin: Origin,
  ): Promise<void> {
    if (!(await this.accounts.enable(id, origin, admin._id))) throw new Problem('not_found');
  }

  @Get(':id/face')
  @Accepts({ params: userParams })
  @Answers({ summary: 'The state of a face: never a template or a score', schema: faceSchema, errors: ['not_found'] })
  async face(
    @CurrentUser() officer: UserRow,
    @Param() { id }: z.infer<typeof userParams>,
    @RequestOrigin() origin: Origin,
  ): Promise<z.infer<typeof faceSchema>> {
    const summary = await this.guard.summary(id);
    const person = summary ? id : undefined;
    await this.reads.record(officer, { detail: { object: 'face' }, person, role: 'security' }, origin);
    if (!summary) throw new Problem('not_found');
    const { enrolled, everEnrolled, faceRequired, consentVersion, disabledByStrikes } = summary;
    const [lockedUntil, heldUntil, reEnrolBy] = [summary.lockedUntil, summary.heldUntil, summary.reEnrolBy].map(
      (time) => time?.toISOString() ?? null,
    );
    return {
      enrolled,
      everEnrolled,
      required: faceRequired,
      consentVersion,
      lockedUntil: lockedUntil ?? null,
      heldUntil: heldUntil ?? null,
      reEnrolBy: reEnrolBy ?? null,
      disabledByStrikes,
    };
  }

  @Post(':id/unlock')
  @HttpCode(204)
  @Accepts({ params: userParams })
  @Answers({ summary: 'Ends the lock of a face', errors: ['not_found'] })
  async unlock(
    @CurrentUser() officer: UserRow,
    @Param() { id }: z.infer<typeof userParams>,
    @RequestOrigin() origin: Origin,
  ): Promise<void> {
    await this.change(id, { kind: 'unlock', actorId: officer._id }, origin);
  }

  /** From here on the old template verifies nobody; sessions at pwd+face keep their level. */
  @Post(':id/require-re-enrolment')
  @HttpCode(204)
  @Accepts({ params: userParams })
  @Answers({ summary: 'Demands that a face be enrolled again', errors: ['not_found'] })
  async requireReEnrolment(
    @CurrentUser() officer: UserRow,
    @Param() { id }: z.infer<typeof userParams>,
    @RequestOrigin() origin: Origin,
  ): Promise<void> {
    await this.change(id, { kind: 're_enrolment_required', by: 'officer', actorId: officer._id }, origin);
  }

  private async change(id: string, change: Parameters<GuardStore['change']>[1], origin: Origin): Promise<void> {
    const outcome = await this.guard.change(id, change, origin, randomUUID());
    if (outcome.kind === 'not_found') throw new Problem('not_found');
    this.nudge.drain(id);
  }
}
