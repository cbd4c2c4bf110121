import { Module } from '@nestjs/common';
import { FaceModule } from '../face/face.module.js';
import { SessionModule } from '../sessions/session.module.js';
import { UserModule } from '../users/user.module.js';
import { AdmissionControl } from './admission.js';
import { BeginService } from './begin.service.js';
import { CaptureController } from './capture.controller.js';
import { FrameBlobs } from './frame-blobs.js';
import { OutcomeService } from './outcome.service.js';
import { SeenFrames } from './seen-frames.js';
import { StepService } from './step.service.js';
import { Uploads } from './uploads.js';

@Module({
  imports: [FaceModule, SessionModule, UserModule],
  controllers: [CaptureController],
  providers: [AdmissionControl, BeginService, FrameBlobs, OutcomeService, SeenFrames, StepService, Uploads],
  exports: [FrameBlobs],
})
export class CaptureModule {}
