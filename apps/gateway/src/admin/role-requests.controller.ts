import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put } from '@nestjs/common';
import { z } from 'zod';
import type { RoleRequest, UserRow } from '#accounts';
import { type Origin, roleSchema } from '#contracts';
import { StaffReads } from '../audit-trail/staff-reads.js';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { CurrentUser } from '../http/session.guard.js';
import { RolesService } from './roles.service.js';
import { roleRequestSchema, userRolesSchema, userSchema, viewOfRequest, viewOfUser } from './views.js';

const idParams = z.strictObject({ id: z.uuid() });
const rolesSchema = z.strictObject({ roles: z.array(roleSchema).max(5) });
const requestsSchema = z.strictObject({ requests: z.array(roleRequestSchema) });

/** Who may do what. Roles that an account gets need two administrators, and none changes his own. */
@Controller('v1/admin')
export class RoleRequestsController {
  constructor(
    private readonly roles: RolesService,
    private readonly reads: StaffReads,
  ) {}

  /** What is taken away is gone at once, with every session. What is given waits for a second administrator. */
  @Put('users/:id/roles')
  @Accepts({ params: idParams, body: rolesSchema })
  @Answers({
    summary: 'Sets the roles of an account: takes the others away, asks for those that it has not',
    schema: userRolesSchema,
    errors: ['not_found', 'email_not_verified', 'erasure_pending', 'last_admin', 'second_person_required'],
  })
  async set(
    @CurrentUser() admin: UserRow,
    @Param() { id }: z.infer<typeof idParams>,
    @Body() { roles }: z.infer<typeof rolesSchema>,
    @RequestOrigin() origin: Origin,
  ): Promise<z.infer<typeof userRolesSchema>> {
    const { user, request } = await this.roles.set(admin, id, ['user', ...roles], origin);
    return { ...viewOfUser(user), roleRequest: request && viewOfRequest(request) };
  }

  @Get('role-requests')
  @Answers({ summary: 'Roles that were asked for and wait for a second administrator', schema: requestsSchema })
  async list(
    @CurrentUser() admin: UserRow,
    @RequestOrigin() origin: Origin,
  ): Promise<{ requests: z.infer<typeof roleRequestSchema>[] }> {
    await this.reads.record(admin, { detail: { object: 'role_requests', filter: [] }, role: 'admin' }, origin);
    return { requests: (await this.roles.open()).map((request: RoleRequest) => viewOfRequest(request)) };
  }

  @Post('role-requests/:id/confirm')
  @HttpCode(200)
  @Accepts({ params: idParams })
  @Answers({
    summary: 'Gives roles that another administrator asked for',
    schema: userSchema,
    errors: ['not_found', 'email_not_verified', 'erasure_pending', 'second_person_required'],
  })
  async confirm(@CurrentUser() admin: UserRow, @Param() { id }: z.infer<typeof idParams>) {
    return viewOfUser(await this.roles.confirm(admin, id));
  }

  @Delete('role-requests/:id')
  @HttpCode(204)
  @Accepts({ params: idParams })
  @Answers({ summary: 'Refuses roles that were asked for', errors: ['not_found'] })
  async refuse(
    @CurrentUser() admin: UserRow,
    @Param() { id }: z.infer<typeof idParams>,
    @RequestOrigin() origin: Origin,
  ): Promise<void> {
    await this.roles.refuse(admin, id, origin);
  }
}
