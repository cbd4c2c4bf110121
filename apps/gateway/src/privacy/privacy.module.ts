import { Module } from '@nestjs/common';
import { SessionModule } from '../sessions/session.module.js';
import { UserModule } from '../users/user.module.js';
import { ErasureRepository } from './erasure.repository.js';
import { ErasuresController } from './erasures.controller.js';

@Module({
  imports: [SessionModule, UserModule],
  controllers: [ErasuresController],
  providers: [ErasureRepository],
})
export class PrivacyModule {}
