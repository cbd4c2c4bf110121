import { Module } from '@nestjs/common';
import { PassportModule } from '@nestjs/passport';
import { MailModule } from '../mail/mail.module.js';
import { SessionsController } from '../sessions/sessions.controller.js';
import { SessionModule } from '../sessions/session.module.js';
import { UserModule } from '../users/user.module.js';
import { AuthController } from './auth.controller.js';
import { AuthService, RegistrationService } from './auth.service.js';
import { EmailController } from './email.controller.js';
import { EmailService } from './email.service.js';
import { PasswordResetController } from './password-reset.controller.js';
import { PasswordResetService } from './password-reset.service.js';
import { KnownDevices } from './known-devices.js';
import { LoginLinkController } from './login-link.controller.js';
import { LoginLinkService } from './login-link.service.js';
import { LoginPlaces } from './login-places.js';
import { LocalStrategy } from './local.strategy.js';
import { LoginThrottle } from './login-throttle.js';

@Module({
  imports: [PassportModule, SessionModule, UserModule, MailModule],
  controllers: [AuthController, EmailController, LoginLinkController, PasswordResetController, SessionsController],
  providers: [
    AuthService,
    EmailService,
    PasswordResetService,
    RegistrationService,
    KnownDevices,
    LoginLinkService,
    LoginPlaces,
    LocalStrategy,
    LoginThrottle,
  ],
})
export class AuthModule {}
