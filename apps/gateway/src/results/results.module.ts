import { Module } from '@nestjs/common';
import { CaptureModule } from '../capture/capture.module.js';
import { FaceModule } from '../face/face.module.js';
import { DecisionQueue } from './decision-queue.js';
import { ModelsReportHandler } from './models-report.handler.js';
import { Reconciler } from './reconciler.js';
import { ResultsHandler } from './results.handler.js';
import { ResultsService } from './results.service.js';

@Module({
  imports: [CaptureModule, FaceModule],
  providers: [DecisionQueue, ModelsReportHandler, Reconciler, ResultsHandler, ResultsService],
})
export class ResultsModule {}
