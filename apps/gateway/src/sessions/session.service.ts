import { randomBytes, randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { isSessionOf, type UserRow } from '#accounts';
import { Keys, sha256Hex } from '../store/keys.js';
import { Forgeries } from '../audit-trail/forgeries.js';
import { RedisStore } from '../redis/redis.js';
import { SESSION_RECORD_VERSION, type SessionRecord, sessionRecordSchema } from './session-record.js';

const IDLE_SECONDS = 30 * 60;
const ABSOLUTE_MS = 12 * 60 * 60 * 1000;
const TOKEN_BYTES = 32;
/** How long the answer that held a new token is given again, if the token has not been used. */
const REPEAT_SECONDS = 60;
/** Of one person, the one just opened included. */
const SESSIONS_MAX = 20;
/** Keys in one command to Redis: a list that somebody made long is worked through in parts. */
const KEYS_AT_ONCE = 500;

/** Whether a text is of the form of a session's token. */
export const isSessionToken = (text: string): boolean => /^[A-Za-z0-9_-]{43}$/.test(text);

export interface ActiveSession {
  token: string;
  record: SessionRecord;
}

/** Why a session gets a new token: from the old one and this the new one is derived, so that a repeat gets the same. */
export type RotatedBy = readonly ['attempt' | 'recovery_code' | 'mailed_link', string];

/** A session by its token; the token has been used from here on. */
const USE = `
local text = redis.call('GETEX', KEYS[1], 'EX', ARGV[1])
redis.call('DEL', KEYS[2])
return text`;

/** The same for a question about it: its first use, which does not put the idle limit off. */
const LOOK = `
redis.call('DEL', KEYS[2])
return redis.call('GET', KEYS[1])`;

/** Swaps a session's key and returns its record: the one just written, or that of a repeat while the key is unused. */
const ROTATE = `
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
  redis.call('SET', KEYS[4], ARGV[3], 'EX', ARGV[4])
  redis.call('DEL', KEYS[1])
  redis.call('SREM', KEYS[3], KEYS[1])
  redis.call('SADD', KEYS[3], KEYS[2])
  return ARGV[1]
end
return redis.call('EXISTS', KEYS[4]) == 1 and redis.call('GET', KEYS[2])`;

const unusedSchema = z.strictObject({ until: z.int(), lockEpoch: z.int(), mac: z.string() });
const envelopeSchema = z.strictObject({ record: z.string(), mac: z.string() });
/** 0.1 wrote no version. */
const versionedSchema = z.object({ version: z.int().optional() });

/**
 * Sessions in Redis: opaque tokens of 256 bits, stored only as SHA-256, each record under the gateway's HMAC together
 * with its key, so that whoever writes in Redis can neither forge a level nor copy one.
 */
@Injectable()
export class SessionService {
  constructor(
    private readonly redis: RedisStore,
    private readonly keys: Keys,
    private readonly forgeries: Forgeries,
  ) {}

  /** Beyond SESSIONS_MAX of one person the oldest go; `ended` are their ids. */
  async open(
    userId: string,
    epoch: number,
    o: { deviceModel?: string | undefined; proved?: boolean } = {},
  ): Promise<ActiveSession & { ended: string[] }> {
    const now = Date.now();
    const record: SessionRecord = {
      version: SESSION_RECORD_VERSION,
      sessionId: randomUUID(),
      userId,
      methods: { pwd: now },
      epoch,
      provedAt: o.proved ? now : null,
      expiresAt: now + ABSOLUTE_MS,
      redeemed: null,
      ...(o.deviceModel === undefined ? {} : { deviceModel: o.deviceModel }),
    };
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    const key = keyOf(token);
    const listed = await this.redis.ask(async (redis) => {
      await redis.set(key, this.sealed(key, record), 'EX', IDLE_SECONDS);
      await redis.sadd(listOf(userId), key);
      await redis.expire(listOf(userId), ABSOLUTE_MS / 1000);
      return redis.scard(listOf(userId));
    });
    // The list also names sessions that are over: only where it is long need they be read.
    const ended = listed > SESSIONS_MAX ? await this.endOldest(userId, record.sessionId) : [];
    return { token, record, ended };
  }

  private async endOldest(userId: string, opened: string): Promise<string[]> {
    const others = (await this.stored(userId)).filter(({ record }) => record.sessionId !== opened);
    const over = others.sort((a, b) => b.record.methods.pwd - a.record.methods.pwd).slice(SESSIONS_MAX - 1);
    await this.remove(
      userId,
      over.map(({ key }) => key),
    );
    return over.map(({ record }) => record.sessionId);
  }

  /** The live session of a token; using it puts the idle limit off. */
  async find(token: string | null): Promise<ActiveSession | null> {
    if (token === null) return null;
    const key = keyOf(token);
    const text = await this.redis.ask((redis) => redis.eval(USE, 2, key, unusedOf(key), IDLE_SECONDS));
    return this.live(token, text);
  }

  /** The same for somebody else's question about it: the idle limit runs on. */
  async look(token: string): Promise<SessionRecord | null> {
    const key = keyOf(token);
    const text = await this.redis.ask((redis) => redis.eval(LOOK, 2, key, unusedOf(key)));
    return this.live(token, text)?.record ?? null;
  }

  /** Under whichever token it is by now; looking is no use. */
  async ofId(userId: string, sessionId: string): Promise<SessionRecord | null> {
    const look = async () => (await this.stored(userId)).find(({ record }) => record.sessionId === sessionId)?.record;
    // Between the list and its records a session may get a new token: then the list already has that one.
    const found = (await look()) ?? (await look());
    return found && found.expiresAt > Date.now() ? found : null;
  }

  /** Writes a changed record (a new epoch) under the same token. */
  async update(session: ActiveSession, record: SessionRecord): Promise<void> {
    const key = keyOf(session.token);
    await this.redis.ask((redis) => redis.set(key, this.sealed(key, record), 'EX', IDLE_SECONDS, 'XX'));
  }

  /**
   * A raised session gets a new token and loses the old one, in one step. Of parallel ones for the same reason all get the
   * same. Null: it was ended meanwhile, or the new token has been used. `lockEpoch`: of the guard that it was judged by.
   */
  async rotate(
    session: ActiveSession,
    record: SessionRecord,
    by: RotatedBy,
    lockEpoch: number,
  ): Promise<ActiveSession | null> {
    const token = this.derived(session.token, by);
    const [from, to] = [keyOf(session.token), keyOf(token)];
    const [value, unused] = [this.sealed(to, record), this.unused(to, lockEpoch)];
    const text = await this.redis.ask((redis) =>
      redis.eval(ROTATE, 4, from, to, listOf(record.userId), unusedOf(to), value, IDLE_SECONDS, unused, REPEAT_SECONDS),
    );
    return this.live(token, text);
  }

  /** What `rotate` gave for this token and reason, while nobody has used it; looking is no use. */
  async rotated(token: string, by: RotatedBy): Promise<(ActiveSession & { lockEpoch: number }) | null> {
    const next = this.derived(token, by);
    const key = keyOf(next);
    const [text, unused] = await this.redis.ask((redis) => redis.mget(key, unusedOf(key)));
    const lockEpoch = unused ? this.lockEpochOf(key, unused) : null;
    const session = this.live(next, text);
    return session && lockEpoch !== null ? { ...session, lockEpoch } : null;
  }

  /** From what only its owner and this gateway know: nothing is stored from which a token could be had. */
  private derived(token: string, [why, what]: RotatedBy): string {
    return this.keys.mac('session-token', token, why, what).toString('base64url');
  }

  private live(token: string, text: unknown): ActiveSession | null {
    const record = typeof text === 'string' ? this.opened(keyOf(token), text) : null;
    return record && record.expiresAt > Date.now() ? { token, record } : null;
  }

  /** Redis forgets it in time; that nobody who writes there can prolong it is why it says so itself, under a HMAC. */
  private unused(key: string, lockEpoch: number): string {
    const until = Date.now() + REPEAT_SECONDS * 1_000;
    const mac = this.keys.mac('session-unused', key, String(until), String(lockEpoch)).toString('base64url');
    return JSON.stringify({ until, lockEpoch, mac });
  }

  private lockEpochOf(key: string, text: string): number | null {
    try {
      const { until, lockEpoch, mac } = unusedSchema.parse(JSON.parse(text));
      const given = Buffer.from(mac, 'base64url');
      if (!this.keys.isMac(given, 'session-unused', key, String(until), String(lockEpoch))) return null;
      return until > Date.now() ? lockEpoch : null;
    } catch {
      return null;
    }
  }

  async end(session: ActiveSession): Promise<void> {
    const key = keyOf(session.token);
    await this.redis.ask(async (redis) => {
      await redis.del(key);
      await redis.srem(listOf(session.record.userId), key);
    });
  }

  /** The live sessions that the account stands by, newest first. */
  async list(user: UserRow): Promise<SessionRecord[]> {
    const found = await this.stored(user._id);
    const live = found
      .map(({ record }) => record)
      .filter((one) => isSessionOf(user, one) && one.expiresAt > Date.now());
    return live.sort((a, b) => b.methods.pwd - a.methods.pwd);
  }

  async endOne(userId: string, sessionId: string): Promise<void> {
    const keys = (await this.stored(userId))
      .filter(({ record }) => record.sessionId === sessionId)
      .map(({ key }) => key);
    await this.remove(userId, keys);
  }

  /**
   * Ends a user's sessions but the one with the id given, whichever token it has by now. What Redis might revive is refused
   * by its epoch.
   */
  async endAll(userId: string, except?: string): Promise<void> {
    if (except !== undefined) {
      const others = (await this.stored(userId)).filter(({ record }) => record.sessionId !== except);
      return this.remove(
        userId,
        others.map(({ key }) => key),
      );
    }
    for await (const keys of this.keysOf(userId)) await this.remove(userId, keys);
  }

  /** In parts, each of them one short question to Redis. A key that comes or goes meanwhile may be among them or not. */
  private async *keysOf(userId: string): AsyncGenerator<string[]> {
    let cursor = '0';
    do {
      const from = cursor;
      const [next, keys] = await this.redis.ask((redis) => redis.sscan(listOf(userId), from, 'COUNT', KEYS_AT_ONCE));
      cursor = next;
      yield keys;
    } while (cursor !== '0');
  }

  private async remove(userId: string, keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    await this.redis.ask(async (redis) => {
      await redis.del([...keys]);
      await redis.srem(listOf(userId), [...keys]);
    });
  }

  /** Keys whose time is over are dropped from the list on the way. */
  private async stored(userId: string): Promise<{ key: string; record: SessionRecord }[]> {
    // By key: a list that changes while it is read may name one twice.
    const found = new Map<string, SessionRecord>();
    for await (const keys of this.keysOf(userId)) {
      if (keys.length === 0) continue;
      const texts = await this.redis.ask((redis) => redis.mget(keys));
      const gone = keys.filter((_, i) => !texts[i]);
      if (gone.length > 0) await this.redis.ask((redis) => redis.srem(listOf(userId), gone));
      keys.forEach((key, i) => {
        const text = texts[i];
        const record = text ? this.opened(key, text) : null;
        if (record?.userId === userId) found.set(key, record);
      });
    }
    return [...found].map(([key, record]) => ({ key, record }));
  }

  private sealed(key: string, record: SessionRecord): string {
    const text = JSON.stringify(record);
    return JSON.stringify({ record: text, mac: this.keys.mac('session-record', key, text).toString('base64url') });
  }

  /** Null, and told to the audit, for whatever no gateway wrote under this key; null alone for what another version wrote. */
  private opened(key: string, text: string): SessionRecord | null {
    try {
      const { record, mac } = envelopeSchema.parse(JSON.parse(text));
      if (this.keys.isMac(Buffer.from(mac, 'base64url'), 'session-record', key, record)) {
        const value: unknown = JSON.parse(record);
        if (versionedSchema.parse(value).version !== SESSION_RECORD_VERSION) return null;
        return sessionRecordSchema.parse(value);
      }
    } catch {
      // Not even of the form of a record.
    }
    this.forgeries.found('session_forged');
    return null;
  }
}

const keyOf = (token: string): string => `sess:${sha256Hex(token)}`;
/** Beside a session whose token has not been used. */
const unusedOf = (key: string): string => `unused:${key}`;
const listOf = (userId: string): string => `sess-of:${userId}`;
