import {
  Body,
  Controller,
  createParamDecorator,
  Get,
  Headers,
  HttpCode,
  Inject,
  Post,
  Put,
  Res,
  UseGuards,
} from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import {
  addressHeldUntil,
  emailLookupSchema,
  emailSchema,
  localeSchema,
  passwordAttemptSchema,
  passwordSchema,
  type UserRow,
} from '#accounts';
import { acrSchema, amrSchema, mailLocaleOf, type Origin } from '#contracts';
import type { GuardStore } from '#guard';
import { guardOf } from '../face/authority.js';
import { GUARD } from '../face/guard.module.js';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { type Principal } from '../http/principal.js';
import { CurrentSession, CurrentUser } from '../http/session.guard.js';
import { levelsOf, sessionAnswer, sessionAnswerSchema, sessionTimes } from '../sessions/session-record.js';
import { AuthService, RegistrationService } from './auth.service.js';
import { KnownDevices } from './known-devices.js';
import { loggedIn, LoginGuard } from './local.strategy.js';

const registerSchema = z.strictObject({
  email: emailSchema,
  password: passwordSchema
    .optional()
    .meta({ description: 'Needed with REGISTRATION=open, refused with verified: there the mailed link sets it.' }),
  locale: localeSchema.optional(),
});
const loginSchema = z.strictObject({ email: emailLookupSchema, password: passwordAttemptSchema });
const passwordChangeSchema = z.strictObject({ currentPassword: passwordAttemptSchema, newPassword: passwordSchema });

const passwordVerifySchema = z.strictObject({ password: passwordAttemptSchema });

const LoggedInUser = createParamDecorator((_: unknown, context) => loggedIn(context));

const someTime = z.iso.datetime().optional();
const registeredSchema = z
  .discriminatedUnion('status', [
    z.strictObject({
      status: z.literal('created'),
      userId: z.uuid(),
      email: z.string(),
      emailVerified: z.boolean(),
    }),
    z
      .strictObject({ status: z.literal('mailed') })
      .meta({ description: 'Where registering does not tell who has an account: a mail says how to go on.' }),
  ])
  .meta({ id: 'Registered' });
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
    newEmail: z
      .strictObject({
        email: z.string(),
        requestedAt: z.iso.datetime(),
        changesAt: z.iso.datetime().nullable().meta({ description: 'Null until the new address was confirmed.' }),
      })
      .nullable()
      .meta({ description: 'A change of address that is under way; DELETE /v1/auth/email/change stops it.' }),
    addressHeldUntil: z.iso.datetime().nullable().meta({
      description: 'Until then nothing is reset or recovered by mail: the address was given back or replaced.',
    }),
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
    private readonly devices: KnownDevices,
    @Inject(GUARD) private readonly guard: GuardStore,
  ) {}

  @Post('register')
  @Accepts({ body: registerSchema })
  @Answers({
    summary: 'Makes an account',
    schema: registeredSchema,
    errors: ['registration_closed', 'email_taken', 'email_unsupported', 'password_too_common', 'too_many_requests'],
    idempotent: true,
  })
  async register(
    @Body() { email, password, locale }: z.infer<typeof registerSchema>,
    @RequestOrigin() origin: Origin,
    @Headers('accept-language') languages?: string,
  ): Promise<z.infer<typeof registeredSchema>> {
    const registered = await this.registration.register(email, password, origin, locale ?? mailLocaleOf(languages));
    if (registered.kind === 'mailed') return { status: 'mailed' };
    const { user } = registered;
    return { status: 'created', userId: user._id, email: user.email, emailVerified: user.emailVerified };
  }

  @Post('login')
  @HttpCode(200)
  @Accepts({ body: loginSchema })
  @Answers({
    summary: 'Opens a session by password',
    schema: sessionAnswerSchema,
    errors: [
      'invalid_credentials',
      'address_contested',
      'email_unsupported',
      'password_reset_required',
      'too_many_requests',
    ],
  })
  @UseGuards(LoginGuard)
  async login(
    @LoggedInUser() user: UserRow,
    @RequestOrigin() origin: Origin,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Headers('cookie') cookies?: string,
  ) {
    const session = await this.auth.openSession(user, origin);
    this.devices.remember(reply, cookies, user);
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
    safe: true,
    errors: ['account_inactive'],
  })
  async session(
    @CurrentSession() session: Principal,
    @CurrentUser() user: UserRow,
  ): Promise<z.infer<typeof sessionSchema>> {
    const { record } = session;
    const [{ acr, amr }] = levelsOf(record);
    const face = await guardOf(this.guard, session);
    const held = face.heldUntil !== null && face.heldUntil.getTime() > Date.now();
    return {
      userId: user._id,
      email: user.email,
      emailVerified: user.emailVerified,
      sessionId: record.sessionId,
      acr,
      amr,
      ...sessionTimes(record),
      newEmail: user.newEmail && {
        email: user.newEmail.email,
        requestedAt: user.newEmail.requestedAt.toISOString(),
        changesAt: user.newEmail.changesAt?.toISOString() ?? null,
      },
      addressHeldUntil: addressHeldUntil(user, new Date())?.toISOString() ?? null,
      face: {
        enrolled: face.enrolled,
        required: face.faceRequired,
        ...(face.lockedMinutes > 0 && face.lockedUntil ? { lockedUntil: face.lockedUntil.toISOString() } : {}),
        ...(face.reEnrolBy ? { reEnrolBy: face.reEnrolBy.toISOString() } : {}),
        ...(held && face.heldUntil ? { heldUntil: face.heldUntil.toISOString() } : {}),
      },
    };
  }

  /** Before what asks for a recent password: the level of the session stays what it is. */
  @Post('password/verify')
  @HttpCode(204)
  @Accepts({ body: passwordVerifySchema })
  @Answers({
    summary: "Shows the password once more: the session's `authTime` is now",
    errors: ['invalid_credentials', 'too_many_requests'],
  })
  async verifyPassword(
    @CurrentSession() session: Principal,
    @CurrentUser() user: UserRow,
    @Body() { password }: z.infer<typeof passwordVerifySchema>,
    @RequestOrigin() origin: Origin,
  ): Promise<void> {
    await this.auth.renewPassword(session, user, password, origin);
  }

  @Put('password')
  @HttpCode(204)
  @Accepts({ body: passwordChangeSchema })
  @Answers({
    summary: 'Changes the password and ends the other sessions',
    errors: ['invalid_credentials', 'password_reused', 'password_too_common', 'too_many_requests'],
  })
  async changePassword(
    @CurrentSession() session: Principal,
    @CurrentUser() user: UserRow,
    @Body() body: z.infer<typeof passwordChangeSchema>,
    @RequestOrigin() origin: Origin,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Headers('cookie') cookies?: string,
  ): Promise<void> {
    const passwords = { current: body.currentPassword, next: body.newPassword };
    const sessionEpoch = await this.auth.changePassword(session, user, passwords, origin);
    this.devices.remember(reply, cookies, { ...user, sessionEpoch });
  }
}
