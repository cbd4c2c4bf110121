import { Module } from '@nestjs/common';
import { SessionModule } from '../sessions/session.module.js';
import { AddressDisputesController } from './address-disputes.controller.js';
import { AdminUsersController } from './admin-users.controller.js';

@Module({ imports: [SessionModule], controllers: [AddressDisputesController, AdminUsersController] })
export class AdminModule {}
