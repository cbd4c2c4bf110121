import { Module } from '@nestjs/common';
import { FaceModule } from '../face/face.module.js';
import { ConsentController } from './consent.controller.js';
import { ConsentRepository } from './consent.repository.js';

@Module({
  imports: [FaceModule],
  controllers: [ConsentController],
  providers: [ConsentRepository],
  exports: [ConsentRepository],
})
export class ConsentModule {}
