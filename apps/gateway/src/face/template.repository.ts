import { Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import { Connection, type mongo } from 'mongoose';
import { z } from 'zod';
import { type RewrapBatch, type SealedTemplate, sealedTemplateSchema } from '#contracts';
import { collection, isDuplicateKey } from '../store/mongo.js';

const templateRowSchema = sealedTemplateSchema.omit({ templateId: true }).extend({
  _id: z.uuid(),
  createdAt: z.date(),
  /** UTC day of it: the reminders look for that. */
  createdDay: z.string().optional(),
  /** Since when no guard has named it: the audit service's sweep looks for that. */
  orphanSince: z.date().optional(),
});
type TemplateRow = z.infer<typeof templateRowSchema>;

/** `face_templates`: ciphertext that only a worker opens. The guard names the one row that counts. */
@Injectable()
export class TemplateRepository implements OnModuleInit {
  private readonly rows: mongo.Collection<TemplateRow>;

  constructor(@InjectConnection() connection: Connection) {
    this.rows = collection(connection, 'face_templates');
  }

  async onModuleInit(): Promise<void> {
    await this.rows.createIndex({ userId: 1 });
    await this.rows.createIndex({ keyVersion: 1 });
  }

  /** A repeat of the same row changes nothing. */
  async insert({ templateId, ...rest }: SealedTemplate): Promise<void> {
    try {
      const createdAt = new Date();
      const createdDay = createdAt.toISOString().slice(0, 10);
      await this.rows.insertOne({ ...rest, _id: templateId, createdAt, createdDay });
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
    }
  }

  async find(userId: string, templateId: string): Promise<SealedTemplate | null> {
    const row = await this.rows.findOne({ _id: { $eq: templateId }, userId: { $eq: userId } });
    if (row === null) return null;
    const { _id, ...rest } = templateRowSchema.parse(row);
    return sealedTemplateSchema.strip().parse({ templateId: _id, ...rest });
  }

  /** Rows whose key this version wraps: equality is what every server finds fast. */
  async ofVersion(keyVersion: string, except: ReadonlySet<string>, limit: number): Promise<RewrapBatch> {
    const filter = { keyVersion: { $eq: keyVersion }, ...(except.size > 0 ? { _id: { $nin: [...except] } } : {}) };
    const rows = await this.rows.find(filter).limit(limit).toArray();
    return rows.map(({ _id, userId, wrappedDek }) => ({ templateId: _id, userId, keyVersion, wrappedDek }));
  }

  /** How many rows name each version other than this one. */
  async otherVersions(keyVersion: string): Promise<ReadonlyMap<string, number>> {
    const others = (await this.rows.distinct('keyVersion')).filter((version) => version !== keyVersion).sort();
    const counted = others.map(
      async (other) => [other, await this.rows.countDocuments({ keyVersion: { $eq: other } })] as const,
    );
    return new Map(await Promise.all(counted));
  }

  /** Each only if its key is still wrapped as it was read. How many were. */
  async rewrap(
    moves: readonly { from: RewrapBatch[number]; to: Pick<TemplateRow, 'keyVersion' | 'wrappedDek'> }[],
  ): Promise<number> {
    if (moves.length === 0) return 0;
    const { matchedCount } = await this.rows.bulkWrite(
      moves.map(({ from, to }) => ({
        updateOne: {
          filter: { _id: { $eq: from.templateId }, wrappedDek: { $eq: from.wrappedDek } },
          update: { $set: { keyVersion: to.keyVersion, wrappedDek: to.wrappedDek } },
        },
      })),
      { ordered: false },
    );
    return matchedCount;
  }

  async idsOf(userId: string): Promise<string[]> {
    const rows = await this.rows.find({ userId: { $eq: userId } }, { projection: { _id: 1 } }).toArray();
    return rows.map((row) => row._id);
  }

  async delete(userId: string, templateIds: readonly string[]): Promise<void> {
    if (templateIds.length === 0) return;
    await this.rows.deleteMany({ _id: { $in: [...templateIds] }, userId: { $eq: userId } });
  }

  /** Those that are there at this moment: one that is enrolled meanwhile is another face. */
  async deleteAllOf(userId: string): Promise<void> {
    await this.delete(userId, await this.idsOf(userId));
  }
}
