import { Injectable } from '@nestjs/common';
import { JobHandler } from '#queue';
import { ResultsService } from './results.service.js';

@Injectable()
export class ResultsHandler {
  constructor(private readonly results: ResultsService) {}

  @JobHandler('face.result')
  async result(payload: unknown): Promise<void> {
    await this.results.take(payload);
  }
}
