import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { z } from 'zod';
import type { UserRow } from '#accounts';
import type { Origin } from '#contracts';
import { Accepts } from '../http/accepts.js';
import { RequestOrigin } from '../http/origin.js';
import { CurrentSession, CurrentUser, type Principal, Requires } from '../http/session.guard.js';
import { sessionAnswer } from '../sessions/session-record.js';
import { RecoveryService } from './recovery.service.js';

/** Spaces, dashes and case do not count: it is typed from a mail. */
const codeSchema = z.strictObject({
  code: z
    .string()
    .max(40)
    .transform((text) => text.replace(/[\s-]/g, '').toUpperCase())
    .pipe(z.string().regex(/^[0-9A-Z]{8}$/)),
});

@Controller('v1/recovery')
export class RecoveryController {
  constructor(private readonly recovery: RecoveryService) {}

  @Post('codes')
  @HttpCode(202)
  @Requires({ account: true })
  send(@CurrentSession() session: Principal, @CurrentUser() user: UserRow, @RequestOrigin() origin: Origin) {
    return this.recovery.send(session, user, origin);
  }

  @Post('verify')
  @HttpCode(200)
  @Requires({ account: true })
  @Accepts({ body: codeSchema })
  async verify(
    @CurrentSession() session: Principal,
    @CurrentUser() user: UserRow,
    @Body() { code }: z.infer<typeof codeSchema>,
    @RequestOrigin() origin: Origin,
  ) {
    const raised = await this.recovery.verify(session, user, code, origin);
    return sessionAnswer(raised.token, raised.record);
  }
}
