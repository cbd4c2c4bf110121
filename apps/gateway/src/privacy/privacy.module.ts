import { Module } from '@nestjs/common';
import { ConsentModule } from '../consent/consent.module.js';
import { FaceModule } from '../face/face.module.js';
import { SessionModule } from '../sessions/session.module.js';
import { UserModule } from '../users/user.module.js';
import { ErasureService } from './erasure.service.js';
import { ErasureRepository } from './erasure.repository.js';
import { ErasuresController } from './erasures.controller.js';

@Module({
  imports: [ConsentModule, FaceModule, SessionModule, UserModule],
  controllers: [ErasuresController],
  providers: [ErasureRepository, ErasureService],
})
export class PrivacyModule {}
