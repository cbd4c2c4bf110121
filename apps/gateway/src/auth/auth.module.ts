import { Module } from '@nestjs/common';
import { PassportModule } from '@nestjs/passport';
import { MailModule } from '../mail/mail.module.js';
import { SessionModule } from '../sessions/session.module.js';
import { UserModule } from '../users/user.module.js';
import { AuthController } from './auth.controller.js';
import { AuthService, RegistrationService } from './auth.service.js';
import { LocalStrategy } from './local.strategy.js';
import { LoginThrottle } from './login-throttle.js';

@Module({
  imports: [PassportModule, SessionModule, UserModule, MailModule],
  controllers: [AuthController],
  providers: [AuthService, RegistrationService, LocalStrategy, LoginThrottle],
})
export class AuthModule {}
