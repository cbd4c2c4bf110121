import { Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import { SessionModule } from '../sessions/session.module.js';
import { UserModule } from '../users/user.module.js';
import { InputGuard } from './accepts.js';
import { ProblemFilter } from './problem.filter.js';
import { SessionGuard } from './session.guard.js';

/** What holds on every route, in this order: a session, then the shape of the input, then one form of refusal. */
@Module({
  imports: [SessionModule, UserModule],
  providers: [
    { provide: APP_GUARD, useClass: SessionGuard },
    { provide: APP_GUARD, useClass: InputGuard },
    { provide: APP_FILTER, useClass: ProblemFilter },
  ],
})
export class HttpModule {}
