import { Injectable } from '@nestjs/common';
import { AppLogger } from '#observability';
import { TurnsRepository } from '../turns.repository.js';
import { SubjectsRepository } from './subjects.repository.js';

const EVERY_MS = 10 * 60_000;

/** After a change of EVENT_KEK: wraps each person's key by the new one. The events themselves stay as they are. */
@Injectable()
export class EventKeysService {
  constructor(
    private readonly subjects: SubjectsRepository,
    private readonly turns: TurnsRepository,
    private readonly logger: AppLogger,
  ) {}

  async sweep(): Promise<void> {
    if (await this.turns.take('event_keys', EVERY_MS)) await this.rewrap();
  }

  async rewrap(): Promise<void> {
    const { done, closed } = await this.subjects.rewrap();
    if (closed > 0)
      this.logger.error({ state: 'event_keys_closed', count: closed }, 'no known EVENT_KEK opens some keys');
    if (done > 0)
      this.logger.info({ state: 'event_keys_rewrapped', count: done }, 'keys are wrapped by the newest EVENT_KEK');
  }
}
