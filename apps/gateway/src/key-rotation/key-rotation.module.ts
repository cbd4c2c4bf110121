import { Module } from '@nestjs/common';
import { FaceModule } from '../face/face.module.js';
import { RewrapBatches } from './rewrap-batch.js';
import { RotationRepository } from './rotation.repository.js';
import { RotationService } from './rotation.service.js';

@Module({
  imports: [FaceModule],
  providers: [RewrapBatches, RotationRepository, RotationService],
})
export class KeyRotationModule {}
