import {
  Body,
  Controller,
  createParamDecorator,
  Get,
  HttpCode,
  Inject,
  Post,
  Put,
  Query,
  UseGuards,
} from '@nestjs/common';
import { z } from 'zod';
import { emailSchema, passwordAttemptSchema, passwordSchema, type UserRow } from '#accounts';
import { acrSchema, amrSchema, type Origin } from '#contracts';
import type { GuardStore } from '#guard';
import { guardOf } from '../face/authority.js';
import { GUARD } from '../face/guard.module.js';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { CurrentSession, CurrentUser, type Principal } from '../http/session.guard.js';
import { sessionAnswer, sessionAnswerSchema } from '../sessions/session-record.js';
import { AuthService, RegistrationService } from './auth.service.js';
import { loggedIn, LoginGuard } from './local.strategy.js';

const registerSchema = z.strictObject({ email: emailSchema, password: passwordSchema });
const loginSchema = z.strictObject({ email: emailSchema, password: passwordAttemptSchema });
const passwordChangeSchema = z.strictObject({ currentPassword: passwordAttemptSchema, newPassword: passwordSchema });
const tokenSchema = z.strictObject({ token: z.string().regex(/^[A-Za-z0-9_-]{43}$/) });

const LoggedInUser = createParamDecorator((_: unknown, context) => loggedIn(context));

const someTime = z.iso.datetime().optional();
const registeredSchema = z.strictObject({ userId: z.uuid(), email: z.string(), emailVerified: z.boolean() });
const verifiedSchema = z.strictObject({ emailVerified: z.literal(true) });
const sessionSchema = z
  .strictObject({
    userId: z.uuid(),
    email: z.string(),
    emailVerified: z.boolean(),
    sessionId: z.uuid(),
    acr: acrSchema,
    amr: amrSchema,
    authTime: z.iso.datetime(),
    faceAuthTime: z.iso.datetime().nullable(),
    face: z.strictObject({
      enrolled: z.boolean(),
      required: z.boolean(),
      lockedUntil: someTime,
      reEnrolBy: someTime,
      heldUntil: someTime,
    }),
  })
  .meta({ id: 'Session' });

@Controller('v1/auth')
export class AuthController {
  constructor(
    private readonly auth: AuthService,
    private readonly registration: RegistrationService,
    @Inject(GUARD) private readonly guard: GuardStore,
  ) {}

  @Post('register')
  @Accepts({ body: registerSchema })
  @Answers({ summary: 'Makes an account', schema: registeredSchema, errors: ['registration_closed', 'email_taken'] })
  async register(@Body() body: z.infer<typeof registerSchema>, @RequestOrigin() origin: Origin) {
    const user = await this.registration.register(body.email, body.password, origin);
    return { userId: user._id, email: user.email, emailVerified: user.emailVerified };
  }

  @Post('login')
  @HttpCode(200)
  @Accepts({ body: loginSchema })
  @Answers({
    summary: 'Opens a session by password',
    schema: sessionAnswerSchema,
    errors: ['invalid_credentials', 'too_many_requests'],
  })
  @UseGuards(LoginGuard)
  async login(@LoggedInUser() user: UserRow, @RequestOrigin() origin: Origin) {
    const session = await this.auth.openSession(user, origin);
    return sessionAnswer(session.token, session.record);
  }

  @Post('logout')
  @HttpCode(204)
  @Answers({ summary: 'Ends this session' })
  async logout(@CurrentSession() session: Principal, @RequestOrigin() origin: Origin): Promise<void> {
    await this.auth.logout(session, origin);
  }

  @Get('session')
  @Answers({
    summary: 'This session: its level, and the state of the face',
    schema: sessionSchema,
    errors: ['account_inactive'],
  })
  async session(
    @CurrentSession() session: Principal,
    @CurrentUser() user: UserRow,
  ): Promise<z.infer<typeof sessionSchema>> {
    const { record } = session;
    const face = await guardOf(this.guard, session);
    const held = face.heldUntil !== null && face.heldUntil.getTime() > Date.now();
    return {
      userId: user._id,
      email: user.email,
      emailVerified: user.emailVerified,
      sessionId: record.sessionId,
      acr: record.acr,
      amr: record.amr,
      authTime: new Date(record.authTime).toISOString(),
      faceAuthTime: record.faceAuthTime === null ? null : new Date(record.faceAuthTime).toISOString(),
      face: {
        enrolled: face.enrolled,
        required: face.faceRequired,
        ...(face.lockedMinutes > 0 && face.lockedUntil ? { lockedUntil: face.lockedUntil.toISOString() } : {}),
        ...(face.reEnrolBy ? { reEnrolBy: face.reEnrolBy.toISOString() } : {}),
        ...(held && face.heldUntil ? { heldUntil: face.heldUntil.toISOString() } : {}),
      },
    };
  }

  @Put('password')
  @HttpCode(204)
  @Accepts({ body: passwordChangeSchema })
  @Answers({
    summary: 'Changes the password and ends the other sessions',
    errors: ['invalid_credentials', 'too_many_requests'],
  })
  async changePassword(
    @CurrentSession() session: Principal,
    @CurrentUser() user: UserRow,
    @Body() body: z.infer<typeof passwordChangeSchema>,
    @RequestOrigin() origin: Origin,
  ): Promise<void> {
    await this.auth.changePassword(session, user, { current: body.currentPassword, next: body.newPassword }, origin);
  }

  @Post('email/verify')
  @HttpCode(200)
  @Accepts({ body: tokenSchema })
  @Answers({
    summary: 'Confirms the e-mail address by the mailed token',
    schema: verifiedSchema,
    errors: ['token_invalid'],
  })
  async verifyEmail(@Body() body: z.infer<typeof tokenSchema>): Promise<{ emailVerified: true }> {
    await this.registration.verifyEmail(body.token);
    return { emailVerified: true };
  }

  /** The mailed link, until there are pages. */
  @Get('email/verify')
  @Accepts({ query: tokenSchema })
  @Answers({ summary: 'The mailed link itself', schema: verifiedSchema, errors: ['token_invalid'] })
  async followLink(@Query() query: z.infer<typeof tokenSchema>): Promise<{ emailVerified: true }> {
    await this.registration.verifyEmail(query.token);
    return { emailVerified: true };
  }
}
