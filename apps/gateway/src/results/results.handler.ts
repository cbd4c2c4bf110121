import { Injectable } from '@nestjs/common';
import type { FaceResultPayload } from '#contracts';
import { JobHandler } from '#queue';
import { ResultsService } from './results.service.js';

@Injectable()
export class ResultsHandler {
  constructor(private readonly results: ResultsService) {}

  @JobHandler('face.result')
  async result(payload: FaceResultPayload): Promise<void> {
    await this.results.take(payload);
  }
}
