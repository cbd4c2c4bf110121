import { Body, Controller, Headers, HttpCode, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { emailLookupSchema, passwordAttemptSchema } from '#accounts';
import type { Origin } from '#contracts';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { sessionAnswer, sessionAnswerSchema } from '../sessions/session-record.js';
import { AuthService } from './auth.service.js';
import { KnownDevices } from './known-devices.js';
import { linkToken } from './link-token.js';
import { LoginLinkService } from './login-link.service.js';

const requestSchema = z.strictObject({ email: emailLookupSchema });
const enterSchema = z.strictObject({ token: linkToken, password: passwordAttemptSchema });

/** Logging in while too many others try: by a mailed link and the password. */
@Controller('v1/auth/login/link')
export class LoginLinkController {
  constructor(
    private readonly links: LoginLinkService,
    private readonly auth: AuthService,
    private readonly devices: KnownDevices,
  ) {}

  @Post()
  @HttpCode(202)
  @Accepts({ body: requestSchema })
  @Answers({
    summary: 'Mails a link that opens one try with the password past all limits; the answer does not tell of accounts',
    errors: ['email_unsupported', 'too_many_requests'],
  })
  async request(@Body() { email }: z.infer<typeof requestSchema>, @RequestOrigin() origin: Origin): Promise<void> {
    await this.links.request(email, origin);
  }

  @Post('confirm')
  @HttpCode(200)
  @Accepts({ body: enterSchema })
  @Answers({
    summary: 'Opens a session by the mailed token and the password',
    schema: sessionAnswerSchema,
    errors: ['token_invalid', 'invalid_credentials', 'password_reset_required', 'too_many_requests'],
  })
  async confirm(
    @Body() { token, password }: z.infer<typeof enterSchema>,
    @RequestOrigin() origin: Origin,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Headers('cookie') cookies?: string,
  ) {
    const user = await this.links.enter(token, password, origin);
    const session = await this.auth.openSession(user, origin);
    this.devices.remember(reply, cookies, user);
    return sessionAnswer(session.token, session.record);
  }
}
