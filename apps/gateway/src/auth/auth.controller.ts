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
import { type Acr, type Amr, type Origin } from '#contracts';
import type { GuardStore } from '#guard';
import { guardOf } from '../face/authority.js';
import { GUARD } from '../face/guard.module.js';
import { Accepts } from '../http/accepts.js';
import { RequestOrigin } from '../http/origin.js';
import { CurrentSession, CurrentUser, type Principal, Public, Requires } from '../http/session.guard.js';
import { sessionAnswer } from '../sessions/session-record.js';
import { AuthService, RegistrationService } from './auth.service.js';
import { loggedIn, LoginGuard } from './local.strategy.js';

const registerSchema = z.strictObject({ email: emailSchema, password: passwordSchema });
const loginSchema = z.strictObject({ email: emailSchema, password: passwordAttemptSchema });
const passwordChangeSchema = z.strictObject({ currentPassword: passwordAttemptSchema, newPassword: passwordSchema });
const tokenSchema = z.strictObject({ token: z.string().regex(/^[A-Za-z0-9_-]{43}$/) });

const LoggedInUser = createParamDecorator((_: unknown, context) => loggedIn(context));

interface SessionView {
  userId: string;
  email: string;
  emailVerified: boolean;
  sessionId: string;
  acr: Acr;
  amr: Amr;
  authTime: string;
  faceAuthTime: string | null;
  face: { enrolled: boolean; required: boolean; lockedUntil?: string; reEnrolBy?: string; heldUntil?: string };
}

@Controller('v1/auth')
export class AuthController {
  constructor(
    private readonly auth: AuthService,
    private readonly registration: RegistrationService,
    @Inject(GUARD) private readonly guard: GuardStore,
  ) {}

  @Post('register')
  @Public()
  @Accepts({ body: registerSchema })
  async register(@Body() body: z.infer<typeof registerSchema>, @RequestOrigin() origin: Origin) {
    const user = await this.registration.register(body.email, body.password, origin);
    return { userId: user._id, email: user.email, emailVerified: user.emailVerified };
  }

  @Post('login')
  @HttpCode(200)
  @Public()
  @Accepts({ body: loginSchema })
  @UseGuards(LoginGuard)
  async login(@LoggedInUser() user: UserRow, @RequestOrigin() origin: Origin) {
    const session = await this.auth.openSession(user, origin);
    return sessionAnswer(session.token, session.record);
  }

  @Post('logout')
  @HttpCode(204)
  async logout(@CurrentSession() session: Principal, @RequestOrigin() origin: Origin): Promise<void> {
    await this.auth.logout(session, origin);
  }

  @Get('session')
  @Requires({ account: true })
  async session(@CurrentSession() session: Principal, @CurrentUser() user: UserRow): Promise<SessionView> {
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
  @Requires({ account: true })
  @Accepts({ body: passwordChangeSchema })
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
  @Public()
  @Accepts({ body: tokenSchema })
  async verifyEmail(@Body() body: z.infer<typeof tokenSchema>): Promise<{ emailVerified: true }> {
    await this.registration.verifyEmail(body.token);
    return { emailVerified: true };
  }

  /** The mailed link, until there are pages. */
  @Get('email/verify')
  @Public()
  @Accepts({ query: tokenSchema })
  async followLink(@Query() query: z.infer<typeof tokenSchema>): Promise<{ emailVerified: true }> {
    await this.registration.verifyEmail(query.token);
    return { emailVerified: true };
  }
}
