import { Module } from '@nestjs/common';
import { EnrolmentController } from './enrolment.controller.js';
import { PreferencesController } from './preferences.controller.js';
import { TemplateRepository } from './template.repository.js';

@Module({
  controllers: [EnrolmentController, PreferencesController],
  providers: [TemplateRepository],
  exports: [TemplateRepository],
})
export class FaceModule {}
