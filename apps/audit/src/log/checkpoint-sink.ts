import fs from 'node:fs/promises';
import { Inject, Injectable } from '@nestjs/common';
import { type CheckpointRecord, exportCheckpoint } from '#audit-log';
import { AUDIT_CONFIG, type AuditConfig } from '../config.js';

const STDOUT = 1;

/** Where checkpoints go that the owner of the database cannot rewrite: a file that only grows, or the log shipper. */
@Injectable()
export class CheckpointSink {
  constructor(@Inject(AUDIT_CONFIG) private readonly config: Pick<AuditConfig, 'AUDIT_CHECKPOINT_FILE'>) {}

  /** Resolves when it is on disk. One line a checkpoint; a line that a crash cut short is followed by the whole one. */
  async write(record: CheckpointRecord): Promise<void> {
    const line = `${exportCheckpoint(record)}\n`;
    const target = this.config.AUDIT_CHECKPOINT_FILE;
    if (target === 'stdout') return void (await fs.appendFile(`/dev/fd/${STDOUT}`, line));
    const file = await fs.open(target, 'a+', 0o600);
    try {
      const { size } = await file.stat();
      const torn = size > 0 && (await file.read(Buffer.alloc(1), 0, 1, size - 1)).buffer[0] !== 0x0a;
      await file.appendFile(torn ? `\n${line}` : line);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}
