import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { Forgeries } from '../audit-trail/forgeries.js';
import { refuseAfter } from '../redis/limiter.js';
import { RedisStore } from '../redis/redis.js';
import { Keys, sha256Hex } from '../store/keys.js';
import type { SessionRecord } from './session-record.js';

const LIFE_MS = 10 * 60_000;
/** Of one session, at the same time. */
const TOKENS_MAX = 20;
const TOKEN_BYTES = 32;
const PREFIX = 'cst_';
const VERSION = 1;

/** Kept while fewer than so many of the session are live; otherwise answers when the oldest of them ends. */
const ISSUE = `
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[3])
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[5]) then
  return redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[4])
redis.call('ZADD', KEYS[2], ARGV[2], KEYS[1])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return false`;

const recordSchema = z.strictObject({
  version: z.literal(VERSION),
  sessionId: z.uuid(),
  userId: z.uuid(),
  clientId: z.uuid(),
  expiresAt: z.int(),
});
/** Which session a token stands for, and the one client that may ask about it. `expiresAt`: ms since 1970. */
export type ClientTokenRecord = z.infer<typeof recordSchema>;

const envelopeSchema = z.strictObject({ record: z.string(), mac: z.string() });
const versionedSchema = z.object({ version: z.int() });

/** Whether a text is of the form of such a token, which no session's token is. */
export const isClientToken = (text: string): boolean => /^cst_[A-Za-z0-9_-]{43}$/.test(text);

/**
 * Tokens by which one relying application asks about one session: nothing else can be done with them. What the session is
 * worth stands in the session alone, so a token says what is true when it is asked about, and ends with its session.
 */
@Injectable()
export class ClientTokens {
  constructor(
    private readonly redis: RedisStore,
    private readonly keys: Keys,
    private readonly forgeries: Forgeries,
  ) {}

  async issue(session: SessionRecord, clientId: string): Promise<{ token: string; expiresAt: number }> {
    const now = Date.now();
    const { sessionId, userId } = session;
    const expiresAt = Math.min(now + LIFE_MS, session.expiresAt);
    const token = PREFIX + randomBytes(TOKEN_BYTES).toString('base64url');
    const key = keyOf(token);
    const value = this.sealed(key, { version: VERSION, sessionId, userId, clientId, expiresAt });
    const full = await this.redis.ask((redis) =>
      redis.eval(ISSUE, 2, key, listOf(sessionId), value, expiresAt, now, expiresAt - now, TOKENS_MAX),
    );
    refuseAfter(full === null ? null : Math.max(0, Number(full) - now));
    return { token, expiresAt };
  }

  /** Null for whatever is no live token. Whether its session lives is another question. */
  async find(token: string): Promise<ClientTokenRecord | null> {
    const key = keyOf(token);
    const text = await this.redis.ask((redis) => redis.get(key));
    const record = text === null ? null : this.opened(key, text);
    return record && record.expiresAt > Date.now() ? record : null;
  }

  private sealed(key: string, record: ClientTokenRecord): string {
    const text = JSON.stringify(record);
    return JSON.stringify({ record: text, mac: this.keys.mac('client-token', key, text).toString('base64url') });
  }

  /** As of a session's record: null, and told to the audit, for whatever no gateway wrote under this key. */
  private opened(key: string, text: string): ClientTokenRecord | null {
    try {
      const { record, mac } = envelopeSchema.parse(JSON.parse(text));
      if (this.keys.isMac(Buffer.from(mac, 'base64url'), 'client-token', key, record)) {
        const value: unknown = JSON.parse(record);
        return versionedSchema.parse(value).version === VERSION ? recordSchema.parse(value) : null;
      }
    } catch {
      // Not even of the form of a record.
    }
    this.forgeries.found('session_forged');
    return null;
  }
}

const keyOf = (token: string): string => `client-token:${sha256Hex(token)}`;
const listOf = (sessionId: string): string => `client-tokens-of:${sessionId}`;
