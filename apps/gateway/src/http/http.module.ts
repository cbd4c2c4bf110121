import { Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, DiscoveryModule } from '@nestjs/core';
import { SessionModule } from '../sessions/session.module.js';
import { UserModule } from '../users/user.module.js';
import { InputGuard } from './accepts.js';
import { AnswerInterceptor } from './answers.js';
import { DocsController } from './docs.controller.js';
import { IdempotencyInterceptor } from './idempotency.js';
import { LinkPagesController } from './link-pages.controller.js';
import { ProblemFilter } from './problem.filter.js';
import { Routes } from './routes.js';
import { SessionGuard } from './session.guard.js';

/** What holds on every route, in this order: a session, then the shape of the input, then one form of refusal. */
@Module({
  imports: [DiscoveryModule, SessionModule, UserModule],
  controllers: [DocsController, LinkPagesController],
  providers: [
    Routes,
    { provide: APP_GUARD, useClass: SessionGuard },
    { provide: APP_GUARD, useClass: InputGuard },
    { provide: APP_INTERCEPTOR, useClass: AnswerInterceptor },
    { provide: APP_INTERCEPTOR, useClass: IdempotencyInterceptor },
    { provide: APP_FILTER, useClass: ProblemFilter },
  ],
})
export class HttpModule {}
