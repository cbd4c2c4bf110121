import { Module } from '@nestjs/common';
import { SessionModule } from '../sessions/session.module.js';
import { AdminUsersController } from './admin-users.controller.js';

@Module({ imports: [SessionModule], controllers: [AdminUsersController] })
export class AdminModule {}
