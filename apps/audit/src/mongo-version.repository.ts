import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import { Connection } from 'mongoose';
import { checkDatabase } from '#config';
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
    const warning = await checkDatabase(this.connection.getClient(), this.connection.name, this.config);
    if (warning) this.logger.warn({ state: 'old_mongodb' }, warning);
  }
}
