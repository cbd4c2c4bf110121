import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import type { Collection, Connection } from 'mongoose';
import { makesIndexes } from '#config';
import { AUDIT_CONFIG, type AuditConfig } from '../config.js';

interface EnrolledRow {
  _id: string;
  userId: string;
  createdAt: Date;
  createdDay: string;
}

/** When faces were enrolled: by the UTC day, an equality that every server finds by its index. */
@Injectable()
export class EnrolledTemplatesRepository implements OnModuleInit {
  private readonly rows: Collection<EnrolledRow>;

  constructor(
    @InjectConnection() connection: Connection,
    @Inject(AUDIT_CONFIG) private readonly config: Pick<AuditConfig, 'NODE_ENV'>,
  ) {
    this.rows = connection.collection<EnrolledRow>('face_templates');
  }

  async onModuleInit(): Promise<void> {
    if (makesIndexes(this.config)) await this.rows.createIndex({ createdDay: 1 });
  }

  /** In the order of their ids, after the one given. */
  async enrolledOn(
    day: string,
    after: string,
    limit: number,
  ): Promise<{ templateId: string; userId: string; at: Date }[]> {
    const page = this.rows
      .find(
        { createdDay: { $eq: day }, _id: { $gt: after } },
        { projection: { userId: 1, createdAt: 1 }, maxTimeMS: 2_000 },
      )
      .sort({ _id: 1 })
      .limit(limit);
    return (await page.toArray()).map((row) => ({ templateId: row._id, userId: row.userId, at: row.createdAt }));
  }
}
