import { randomUUID } from 'node:crypto';
import type { mongo } from 'mongoose';
import { z } from 'zod';
import { type ClientScope, clientScopeSchema } from './scopes.js';
import { hashOf, matchesAny, newSecret } from './secret.js';

const secretSchema = z.object({
  /** SHA-256 of the secret, hex. The secret itself is kept nowhere. */
  hash: z.string(),
  createdAt: z.date(),
  /** Null: until it is rotated. */
  expiresAt: z.date().nullable(),
});

/** One document of `service_clients`; `_id` is the client id. */
const rowSchema = z.object({
  _id: z.uuid(),
  name: z.string(),
  scopes: z.array(clientScopeSchema),
  /** The newest first; the others live on until the relying application has the newest. */
  secrets: z.array(secretSchema),
  createdAt: z.date(),
  disabledAt: z.date().nullable(),
  rev: z.int(),
});
type Row = z.infer<typeof rowSchema>;

export type ClientView = Pick<Row, 'name' | 'scopes' | 'createdAt' | 'disabledAt'> & {
  clientId: string;
  secrets: Pick<z.infer<typeof secretSchema>, 'createdAt' | 'expiresAt'>[];
};

/** The only time that a secret is seen. */
export interface NewSecret {
  client: ClientView;
  secret: string;
}

const NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,63}$/u;
const ROTATE_TRIES = 5;
const MAX_TIME_MS = 2_000;

/** The relying applications that may ask about sessions: made by the operator, asked for by the gateway. */
export class ServiceClientStore {
  /** `rows`: the collection `service_clients`. */
  constructor(private readonly rows: mongo.Collection<Row>) {}

  static isName(name: string): boolean {
    return NAME.test(name);
  }

  async ensureIndexes(): Promise<void> {
    await this.rows.createIndex({ name: 1 }, { unique: true });
  }

  /** Null when a client of this name exists, a disabled one included. */
  async create(name: string, scopes: readonly ClientScope[], now = new Date()): Promise<NewSecret | null> {
    const secret = newSecret();
    const row: Row = {
      _id: randomUUID(),
      name,
      scopes: [...new Set(scopes)],
      secrets: [{ hash: hashOf(secret), createdAt: now, expiresAt: null }],
      createdAt: now,
      disabledAt: null,
      rev: 0,
    };
    try {
      await this.rows.insertOne(row, { maxTimeMS: MAX_TIME_MS });
    } catch (error) {
      if ((error as { code?: unknown }).code === 11_000) return null;
      throw error;
    }
    return { client: view(row), secret };
  }

  /** A new secret; the ones before go on for `overlapMs`, or as long as they would have anyway. Null: no such client. */
  async rotate(name: string, overlapMs: number, now = new Date()): Promise<NewSecret | null> {
    const until = new Date(now.getTime() + overlapMs);
    for (let i = 0; i < ROTATE_TRIES; i++) {
      const row = await this.byName(name);
      if (!row) return null;
      const secret = newSecret();
      const kept = row.secrets
        .map((s) => ({ ...s, expiresAt: s.expiresAt && s.expiresAt < until ? s.expiresAt : until }))
        .filter((s) => s.expiresAt > now);
      const secrets = [{ hash: hashOf(secret), createdAt: now, expiresAt: null }, ...kept];
      const done = await this.rows.updateOne(
        { _id: { $eq: row._id }, rev: { $eq: row.rev } },
        { $set: { secrets, rev: row.rev + 1 } },
        { maxTimeMS: MAX_TIME_MS },
      );
      // Somebody else rotated in between: both would hand out a secret, so this one looks again.
      if (done.matchedCount === 1) return { client: view({ ...row, secrets }), secret };
    }
    throw new Error('the client changes all the time');
  }

  /** Works at once. Null: no such client. */
  async disable(name: string, now = new Date()): Promise<ClientView | null> {
    const row = await this.byName(name);
    if (!row) return null;
    const update = { $set: { disabledAt: row.disabledAt ?? now, secrets: [] }, $inc: { rev: 1 } };
    await this.rows.updateOne({ _id: { $eq: row._id } }, update, { maxTimeMS: MAX_TIME_MS });
    return view({ ...row, disabledAt: row.disabledAt ?? now, secrets: [] });
  }

  async list(): Promise<ClientView[]> {
    const rows = await this.rows.find({}, { maxTimeMS: MAX_TIME_MS }).toArray();
    return rows.map((row) => view(rowSchema.parse(row))).sort((a, b) => a.name.localeCompare(b.name));
  }

  /** Null: no such client, or a disabled one. */
  async findEnabled(clientId: string): Promise<ClientView | null> {
    const found = await this.rows.findOne({ _id: { $eq: clientId } }, { maxTimeMS: MAX_TIME_MS });
    const row = found && rowSchema.parse(found);
    return row?.disabledAt === null ? view(row) : null;
  }

  /** The client and whether this is a secret of it; a wrong, expired or disabled one is not. Null: no such client. */
  async verify(
    clientId: string,
    secret: string,
    now = new Date(),
  ): Promise<{ client: ClientView; isGenuine: boolean } | null> {
    const found = await this.rows.findOne({ _id: { $eq: clientId } }, { maxTimeMS: MAX_TIME_MS });
    const row = found && rowSchema.parse(found);
    const live = row?.secrets.filter(({ expiresAt }) => expiresAt === null || expiresAt > now) ?? [];
    const matches = matchesAny(
      secret,
      live.map(({ hash }) => hash),
    );
    return row && { client: view(row), isGenuine: matches && row.disabledAt === null };
  }

  private async byName(name: string): Promise<Row | null> {
    const row = await this.rows.findOne({ name: { $eq: name } }, { maxTimeMS: MAX_TIME_MS });
    return row && rowSchema.parse(row);
  }
}

const view = ({ _id, name, scopes, secrets, createdAt, disabledAt }: Row): ClientView => ({
  clientId: _id,
  name,
  scopes,
  secrets: secrets.map((s) => ({ createdAt: s.createdAt, expiresAt: s.expiresAt })),
  createdAt,
  disabledAt,
});
