import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import { Connection } from 'mongoose';
import { checkSchema, checkServer, serverPolicy } from '#config';
import { SCHEMA_COLLECTION, SCHEMA_VERSION, type SchemaRow } from '#contracts';
import { AppLogger } from '#observability';
import { AUDIT_CONFIG, type AuditConfig } from './config.js';

/** Production does not start on a MongoDB without the fixes, the indexes and the documents it should have. */
@Injectable()
export class MongoVersion implements OnModuleInit {
  constructor(
    @InjectConnection() private readonly connection: Connection,
    @Inject(AUDIT_CONFIG) private readonly config: AuditConfig,
    private readonly logger: AppLogger,
  ) {}

  async onModuleInit(): Promise<void> {
    const client = this.connection.getClient();
    const { version } = await client.db('admin').command({ buildInfo: 1 });
    const policy = serverPolicy(this.config.NODE_ENV, this.config.ALLOW_OLD_MONGODB);
    const old = checkServer('mongodb', String(version), policy);
    if (old) this.logger.warn({ state: 'old_mongodb' }, old);
    const schema = client.db(this.connection.name).collection<SchemaRow>(SCHEMA_COLLECTION);
    checkSchema((await schema.findOne({ _id: 'schema' }))?.version ?? 0, SCHEMA_VERSION, this.config);
  }
}
