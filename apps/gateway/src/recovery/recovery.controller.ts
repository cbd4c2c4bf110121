import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { z } from 'zod';
import type { UserRow } from '#accounts';
import type { Origin } from '#contracts';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { type Answered, type Principal } from '../http/principal.js';
import { Rotates } from '../http/rotates.js';
import { CurrentOrAnswered, CurrentSession, CurrentUser } from '../http/session.guard.js';
import { sessionAnswer, sessionAnswerSchema } from '../sessions/session-record.js';
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
  @Answers({
    summary: 'Mails a code that stands in for the face',
    schema: z.strictObject({ expiresAt: z.iso.datetime() }),
    idempotent: true,
    errors: ['account_inactive', 'address_held', 'email_not_verified', 'too_many_codes', 'too_many_requests'],
  })
  send(@CurrentSession() session: Principal, @CurrentUser() user: UserRow, @RequestOrigin() origin: Origin) {
    return this.recovery.send(session, user, origin);
  }

  @Post('verify')
  @Rotates(({ body }) => {
    const { data } = codeSchema.safeParse(body);
    return data ? ['recovery_code', data.code] : null;
  })
  @HttpCode(200)
  @Accepts({ body: codeSchema })
  @Answers({
    summary: 'Raises the session to pwd+recovery by the mailed code',
    schema: sessionAnswerSchema,
    errors: ['account_inactive', 'address_held', 'code_invalid', 'too_many_codes', 'too_many_requests'],
  })
  async verify(
    @CurrentOrAnswered() session: Principal | Answered,
    @Body() { code }: z.infer<typeof codeSchema>,
    @RequestOrigin() origin: Origin,
  ) {
    const raised = 'answered' in session ? session.answered : await this.recovery.verify(session, code, origin);
    return sessionAnswer(raised.token, raised.record);
  }
}
