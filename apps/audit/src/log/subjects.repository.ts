import { randomBytes, randomUUID } from 'node:crypto';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import type { Collection, Connection } from 'mongoose';
import { open, seal } from '#sealing';
import { AUDIT_CONFIG, type AuditConfig } from '../config.js';
import { DUPLICATE_KEY, DURABLE } from './durable.js';

/**
 * A person as the log knows him. Destroying the row is what makes his sealed payload unreadable and his pseudonym
 * nobody's; an erased one stays a while without key, so that what comes late is not taken for somebody new.
 */
interface SubjectRow {
  /** The userId; for events of nobody `nobody:<day>`. */
  _id: string;
  pseudonym?: string;
  /** AES-256-GCM under EVENT_KEK, base64url. */
  wrappedDek?: string;
  erased?: true;
}

export interface Subject {
  id: string;
  /** Null once it is forgotten. */
  pseudonym: string | null;
  /** Null once it is destroyed. */
  dek: Buffer | null;
}

const dekAad = (id: string): string => `event-dek:v1:${id}`;
const MAX_TIME_MS = 2_000;

@Injectable()
export class SubjectsRepository implements OnModuleInit {
  private readonly rows: Collection<SubjectRow>;

  constructor(
    @InjectConnection() connection: Connection,
    @Inject(AUDIT_CONFIG) private readonly config: Pick<AuditConfig, 'EVENT_KEK'>,
  ) {
    this.rows = connection.collection<SubjectRow>('subjects');
  }

  async onModuleInit(): Promise<void> {
    await this.rows.createIndex({ pseudonym: 1 }, { unique: true, sparse: true });
  }

  /** All of them, made where they are not known yet. Nothing is remembered: a key destroyed meanwhile must not be used. */
  async resolve(ids: readonly string[]): Promise<Map<string, Subject>> {
    const wanted = [...new Set(ids)];
    const found = new Map<string, SubjectRow>();
    for (let round = 0; round < 2; round++) {
      const missing = wanted.filter((id) => !found.has(id));
      if (missing.length === 0) break;
      if (round > 0) await Promise.all(missing.map((id) => this.create(id)));
      const rows = await this.rows.find({ _id: { $in: missing } }, { maxTimeMS: MAX_TIME_MS }).toArray();
      for (const row of rows) found.set(row._id, row);
    }
    return new Map(wanted.map((id) => [id, this.subjectOf(id, found.get(id))]));
  }

  async find(id: string): Promise<Subject | null> {
    const row = await this.rows.findOne({ _id: id }, { maxTimeMS: MAX_TIME_MS });
    return row && this.subjectOf(id, row);
  }

  /** Whose pseudonyms and keys these are; those that nobody has are left out. */
  async whoAre(pseudonyms: readonly string[], ids: readonly string[]): Promise<Subject[]> {
    const rows = await this.rows
      .find({ $or: [{ pseudonym: { $in: [...pseudonyms] } }, { _id: { $in: [...ids] } }] }, { maxTimeMS: MAX_TIME_MS })
      .toArray();
    return rows.map((row) => this.subjectOf(row._id, row));
  }

  /** From here on nothing sealed for him can be opened, and nothing more is sealed. Returns his pseudonym, if he had one. */
  async destroyKey(id: string): Promise<string | null> {
    const row = await this.rows.findOneAndUpdate(
      { _id: id },
      { $set: { erased: true }, $unset: { wrappedDek: '' } },
      { upsert: true, returnDocument: 'after', writeConcern: DURABLE },
    );
    return row?.pseudonym ?? null;
  }

  async forgetPseudonym(id: string): Promise<void> {
    await this.rows.updateOne({ _id: id, erased: true }, { $unset: { pseudonym: '' } }, { writeConcern: DURABLE });
  }

  async remove(id: string): Promise<void> {
    await this.rows.deleteOne({ _id: id }, { writeConcern: DURABLE });
  }

  private async create(id: string): Promise<void> {
    const wrappedDek = seal(this.config.EVENT_KEK, dekAad(id), randomBytes(32)).toString('base64url');
    try {
      await this.rows.insertOne({ _id: id, pseudonym: randomUUID(), wrappedDek }, { writeConcern: DURABLE });
    } catch (error) {
      // Another has made it meanwhile; his is the one that counts.
      if ((error as { code?: unknown }).code !== DUPLICATE_KEY) throw error;
    }
  }

  private subjectOf(id: string, row: SubjectRow | undefined): Subject {
    if (!row) throw new Error('a subject vanished while it was made');
    const dek = row.wrappedDek && open(this.config.EVENT_KEK, dekAad(id), Buffer.from(row.wrappedDek, 'base64url'));
    return { id, pseudonym: row.pseudonym ?? null, dek: dek || null };
  }
}
