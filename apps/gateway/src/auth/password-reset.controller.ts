import { Body, Controller, Headers, HttpCode, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { emailLookupSchema, passwordSchema, type UserRow } from '#accounts';
import type { Origin } from '#contracts';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { Problem } from '../http/problem.js';
import { sessionAnswer, sessionAnswerSchema } from '../sessions/session-record.js';
import { AuthService } from './auth.service.js';
import { KnownDevices } from './known-devices.js';
import { linkToken } from './link-token.js';
import { PasswordResetService } from './password-reset.service.js';

const requestSchema = z.strictObject({ email: emailLookupSchema });
const chooseSchema = z.strictObject({ token: linkToken, newPassword: passwordSchema });
const CHOOSE_ERRORS = ['token_invalid', 'password_reused', 'password_too_common', 'too_many_requests'] as const;

/** Passwords chosen by a mailed link: a forgotten one, and the first one of somebody invited. */
@Controller('v1/auth')
export class PasswordResetController {
  constructor(
    private readonly resets: PasswordResetService,
    private readonly devices: KnownDevices,
    private readonly auth: AuthService,
  ) {}

  @Post('password/reset')
  @HttpCode(202)
  @Accepts({ body: requestSchema })
  @Answers({ summary: 'Mails a link, if there is such an account; the answer does not tell', errors: ['email_unsupported', 'too_many_requests'] }) // prettier-ignore
  async request(@Body() { email }: z.infer<typeof requestSchema>, @RequestOrigin() origin: Origin): Promise<void> {
    await this.resets.request(email, origin);
  }

  @Post('password/reset/confirm')
  @HttpCode(204)
  @Accepts({ body: chooseSchema })
  @Answers({ summary: 'Sets a new password by the mailed token and ends every session', errors: CHOOSE_ERRORS })
  async confirm(
    @Body() body: z.infer<typeof chooseSchema>,
    @RequestOrigin() origin: Origin,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Headers('cookie') cookies?: string,
    @Headers('accept-language') languages?: string,
  ): Promise<void> {
    const user = await this.resets.confirm(body.token, { password: body.newPassword, languages }, origin);
    // Who chose the password is no stranger to the account, even while strangers use up its tries.
    this.devices.remember(reply, cookies, user);
  }

  @Post('invitation/accept')
  @HttpCode(200)
  @Accepts({ body: chooseSchema })
  @Answers({
    summary: 'Sets the first password of somebody invited and opens a session, which may bind a face at once',
    schema: sessionAnswerSchema,
    errors: [...CHOOSE_ERRORS, 'account_inactive'],
  })
  async accept(
    @Body() body: z.infer<typeof chooseSchema>,
    @RequestOrigin() origin: Origin,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Headers('cookie') cookies?: string,
    @Headers('accept-language') languages?: string,
  ) {
    const chosen = { password: body.newPassword, languages };
    return this.opened(await this.resets.acceptInvitation(body.token, chosen, origin), origin, reply, cookies);
  }

  @Post('register/finish')
  @HttpCode(200)
  @Accepts({ body: chooseSchema })
  @Answers({
    summary: 'Sets the first password of whoever registered where addresses are verified, and opens a session',
    schema: sessionAnswerSchema,
    errors: [...CHOOSE_ERRORS, 'account_inactive'],
  })
  async finish(
    @Body() body: z.infer<typeof chooseSchema>,
    @RequestOrigin() origin: Origin,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Headers('cookie') cookies?: string,
    @Headers('accept-language') languages?: string,
  ) {
    const chosen = { password: body.newPassword, languages };
    return this.opened(await this.resets.finishRegistration(body.token, chosen, origin), origin, reply, cookies);
  }

  /** A session that has proved the mailbox. */
  private async opened(user: UserRow, origin: Origin, reply: FastifyReply, cookies: string | undefined) {
    if (user.disabled) throw new Problem('account_inactive');
    this.devices.remember(reply, cookies, user);
    const session = await this.auth.openSession(user, origin, { proved: true });
    return sessionAnswer(session.token, session.record);
  }
}
