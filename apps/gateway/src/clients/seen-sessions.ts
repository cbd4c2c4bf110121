import { Injectable } from '@nestjs/common';
import { RedisStore } from '../redis/redis.js';

/** As long as a session can live. */
const LIFE_SECONDS = 12 * 60 * 60;

/** Which client has asked about which session: the audit trail names each pair once, not each request. */
@Injectable()
export class SeenSessions {
  constructor(private readonly redis: RedisStore) {}

  async isFirst(sessionId: string, clientId: string): Promise<boolean> {
    const key = `introspected:${sessionId}:${clientId}`;
    return (await this.redis.ask((redis) => redis.set(key, '1', 'EX', LIFE_SECONDS, 'NX'))) === 'OK';
  }
}
