import { Controller, Delete, Get, HttpCode, Param } from '@nestjs/common';
import { z } from 'zod';
import { UserRepository, type UserRow } from '#accounts';
import { acrSchema, amrSchema, type Origin } from '#contracts';
import { UserEvents } from '../audit-trail/user-events.js';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { Problem } from '../http/problem.js';
import { type Principal } from '../http/principal.js';
import { CurrentSession, CurrentUser } from '../http/session.guard.js';
import { levelsOf, type SessionRecord, sessionTimes } from './session-record.js';
import { SessionService } from './session.service.js';

const sessionParams = z.strictObject({ id: z.uuid() });
const sessionsSchema = z
  .strictObject({
    sessions: z.array(
      z.strictObject({
        sessionId: z.uuid(),
        current: z.boolean(),
        acr: acrSchema,
        amr: amrSchema,
        authTime: z.iso.datetime(),
        expiresAt: z.iso.datetime(),
        deviceModel: z.string().nullable(),
      }),
    ),
  })
  .meta({ id: 'Sessions' });

/** One's own devices. */
@Controller('v1/auth/sessions')
export class SessionsController {
  constructor(
    private readonly sessions: SessionService,
    private readonly users: UserRepository,
    private readonly events: UserEvents,
  ) {}

  @Get()
  @Answers({ summary: 'Where one is signed in', schema: sessionsSchema, safe: true })
  async list(
    @CurrentSession() session: Principal,
    @CurrentUser() user: UserRow,
  ): Promise<z.infer<typeof sessionsSchema>> {
    const records = await this.sessions.list(user);
    return {
      sessions: records.map((record) => view(record, record.sessionId === session.record.sessionId)),
    };
  }

  @Delete(':id')
  @HttpCode(204)
  @Accepts({ params: sessionParams })
  @Answers({ summary: "Ends one of one's own sessions", errors: ['not_found'] })
  async end(
    @CurrentUser() user: UserRow,
    @Param() { id }: z.infer<typeof sessionParams>,
    @RequestOrigin() origin: Origin,
  ): Promise<void> {
    const found = (await this.sessions.list(user)).some(({ sessionId }) => sessionId === id);
    if (!found) throw new Problem('not_found');
    // MongoDB first: what Redis might bring back is refused from here on.
    await this.users.endSession(user._id, id);
    await this.sessions.endOne(user._id, id);
    await this.events.append(
      user._id,
      'session_ended',
      { ...origin, sessionId: id },
      { detail: { by: 'own_session' } },
    );
  }
}

function view(record: SessionRecord, current: boolean): z.infer<typeof sessionsSchema>['sessions'][number] {
  const [{ acr, amr }] = levelsOf(record);
  return {
    sessionId: record.sessionId,
    current,
    acr,
    amr,
    authTime: sessionTimes(record).authTime,
    expiresAt: new Date(record.expiresAt).toISOString(),
    deviceModel: record.deviceModel ?? null,
  };
}
