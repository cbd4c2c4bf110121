import { Injectable } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import type { Collection, Connection } from 'mongoose';
import { DURABLE } from '../log/durable.js';

const MAX_TIME_MS = 2_000;
const ORPHAN_MS = 10 * 60_000;

interface TemplateRow {
  _id: string;
  userId: string;
  createdDay: string;
  orphanSince?: Date;
}

export interface TemplateAt {
  templateId: string;
  userId: string;
}

/** Template rows as the sweep sees them: by the UTC day of their making, an equality that every server finds fast. */
@Injectable()
export class OrphanTemplatesRepository {
  private readonly rows: Collection<TemplateRow>;
  private readonly guards: Collection<{ _id: string; template: { id: string } | null }>;

  constructor(@InjectConnection() connection: Connection) {
    this.rows = connection.collection<TemplateRow>('face_templates');
    this.guards = connection.collection('face_guards');
  }

  async days(): Promise<string[]> {
    const days = await this.rows.distinct('createdDay');
    return days.filter((day) => typeof day === 'string').sort();
  }

  /** In the order of their ids, after the one given. */
  async page(day: string, after: string, limit: number): Promise<TemplateAt[]> {
    const filter = { createdDay: { $eq: day }, _id: { $gt: after } };
    const page = this.rows.find(filter, { projection: { userId: 1 }, maxTimeMS: MAX_TIME_MS });
    const rows = await page.sort({ _id: 1 }).limit(limit).toArray();
    return rows.map(({ _id, userId }) => ({ templateId: _id, userId }));
  }

  /** The rows that the guards of these users name. */
  async named(userIds: readonly string[]): Promise<Set<string>> {
    const guards = await this.guards
      .find({ _id: { $in: [...userIds] } }, { projection: { 'template.id': 1 }, maxTimeMS: MAX_TIME_MS })
      .toArray();
    return new Set(guards.flatMap(({ template }) => (template ? [template.id] : [])));
  }

  /**
   * Notes that no guard names them. Returns those of whom that was noted ten minutes ago: an attempt ends long before,
   * so no guard will come to name them.
   */
  async noteOrphans(templateIds: readonly string[]): Promise<{ templateId: string; since: Date }[]> {
    const these = { _id: { $in: [...templateIds] } };
    await this.rows.updateMany({ ...these, orphanSince: { $exists: false } }, [{ $set: { orphanSince: '$$NOW' } }]);
    const rows = await this.rows
      .find({ ...these, ...IS_OLD }, { projection: { orphanSince: 1 }, maxTimeMS: MAX_TIME_MS })
      .toArray();
    return rows.flatMap(({ _id, orphanSince }) => (orphanSince ? [{ templateId: _id, since: orphanSince }] : []));
  }

  async removeOrphan(templateId: string): Promise<void> {
    await this.rows.deleteOne({ _id: templateId, ...IS_OLD }, { writeConcern: DURABLE });
  }
}

const IS_OLD = {
  orphanSince: { $exists: true },
  $expr: {
    $let: { vars: { now: '$$NOW' }, in: { $lte: [{ $add: ['$orphanSince', ORPHAN_MS] }, '$$now'] } },
  },
};
