import { Body, Controller, Delete, HttpCode, Post } from '@nestjs/common';
import { z } from 'zod';
import { emailSchema, passwordAttemptSchema, type UserRow } from '#accounts';
import type { Origin } from '#contracts';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { CarriedToken, CurrentUser } from '../http/session.guard.js';
import { sessionAnswer, sessionAnswerSchema } from '../sessions/session-record.js';
import { LostAnswers } from '../sessions/lost-answers.js';
import { AuthService } from './auth.service.js';
import { EmailService } from './email.service.js';
import { linkTokenSchema } from './link-token.js';

const changeSchema = z.strictObject({ newEmail: emailSchema, currentPassword: passwordAttemptSchema });
const verifiedSchema = z.strictObject({ emailVerified: z.literal(true) });
const verifiedWithSessionSchema = verifiedSchema.extend({
  session: sessionAnswerSchema.optional().meta({ description: 'Of the session that the request carried, if it is the same person: from here on it has proved the mailbox.' }),
}); // prettier-ignore

@Controller('v1/auth/email')
export class EmailController {
  constructor(
    private readonly emails: EmailService,
    private readonly auth: AuthService,
    private readonly lost: LostAnswers,
  ) {}

  @Post('verify')
  @HttpCode(200)
  @Accepts({ body: linkTokenSchema })
  @Answers({ summary: 'Confirms the e-mail address by the mailed token', schema: verifiedWithSessionSchema, errors: ['token_invalid'] }) // prettier-ignore
  async verify(
    @Body() { token }: z.infer<typeof linkTokenSchema>,
    @RequestOrigin() origin: Origin,
    @CarriedToken() carried: string | null,
  ): Promise<z.infer<typeof verifiedWithSessionSchema>> {
    const again = carried === null ? null : await this.lost.find(carried, ['mailed_link', token]);
    const session = again ?? (await this.auth.proved(carried, await this.emails.verify(token, origin), token));
    return { emailVerified: true, ...(session ? { session: sessionAnswer(session.token, session.record) } : {}) };
  }

  @Post('resend')
  @HttpCode(202)
  @Answers({ summary: 'Mails the verification once more', errors: ['too_many_requests'] })
  async resend(@CurrentUser() user: UserRow, @RequestOrigin() origin: Origin): Promise<void> {
    await this.emails.resendVerification(user, origin);
  }

  @Post('change')
  @HttpCode(202)
  @Accepts({ body: changeSchema })
  @Answers({
    summary: 'Asks for another e-mail address: mails to both, and a day of delay',
    errors: ['invalid_credentials', 'address_held', 'email_unsupported', 'erasure_pending', 'too_many_requests'],
  })
  async change(
    @CurrentUser() user: UserRow,
    @Body() { newEmail, currentPassword }: z.infer<typeof changeSchema>,
    @RequestOrigin() origin: Origin,
  ): Promise<void> {
    await this.auth.assertPassword(user, currentPassword, origin);
    await this.emails.askForChange(user, newEmail, origin);
  }

  @Post('change/confirm')
  @HttpCode(204)
  @Accepts({ body: linkTokenSchema })
  @Answers({ summary: 'Confirms the new address by the token mailed to it', errors: ['token_invalid'] })
  async confirm(@Body() { token }: z.infer<typeof linkTokenSchema>, @RequestOrigin() origin: Origin): Promise<void> {
    await this.emails.confirmChange(token, origin);
  }

  @Post('change/cancel')
  @HttpCode(204)
  @Accepts({ body: linkTokenSchema })
  @Answers({ summary: 'Stops a change of address by the token mailed to the old one', errors: ['token_invalid'] })
  async cancel(@Body() { token }: z.infer<typeof linkTokenSchema>, @RequestOrigin() origin: Origin): Promise<void> {
    await this.emails.cancelChange(token, origin);
  }

  @Post('change/undo')
  @HttpCode(204)
  @Accepts({ body: linkTokenSchema })
  @Answers({
    summary: 'Gives the account the address back that it had, by the token mailed there when it changed',
    errors: ['token_invalid'],
  })
  async undo(@Body() { token }: z.infer<typeof linkTokenSchema>, @RequestOrigin() origin: Origin): Promise<void> {
    await this.emails.undoChange(token, origin);
  }

  @Post('change/object')
  @HttpCode(204)
  @Accepts({ body: linkTokenSchema })
  @Answers({
    summary: 'Objects to an address that was given back or replaced: nobody signs in until staff have decided',
    errors: ['token_invalid'],
  })
  async object(@Body() { token }: z.infer<typeof linkTokenSchema>, @RequestOrigin() origin: Origin): Promise<void> {
    await this.emails.objectToChange(token, origin);
  }

  @Delete('change')
  @HttpCode(204)
  @Answers({ summary: 'Stops a change of address that is under way; the same if there is none' })
  async stop(@CurrentUser() user: UserRow, @RequestOrigin() origin: Origin): Promise<void> {
    await this.emails.stopChange(user, origin);
  }
}
