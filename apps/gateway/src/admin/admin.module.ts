import { Module } from '@nestjs/common';
import { SessionModule } from '../sessions/session.module.js';
import { AddressDisputesController } from './address-disputes.controller.js';
import { AdminUsersController } from './admin-users.controller.js';
import { RoleRequestsController } from './role-requests.controller.js';
import { RolesService } from './roles.service.js';

@Module({
  imports: [SessionModule],
  controllers: [AddressDisputesController, AdminUsersController, RoleRequestsController],
  providers: [RolesService],
})
export class AdminModule {}
