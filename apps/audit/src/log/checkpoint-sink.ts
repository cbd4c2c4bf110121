import fs from 'node:fs/promises';
import { Inject, Injectable } from '@nestjs/common';
import {
  type CheckpointRecord,
  exportCheckpoint,
  eraFileOf,
  type EraOrder,
  publishedFileOf,
  readCheckpointLine,
  readEraOrder,
} from '#audit-log';
import { AUDIT_CONFIG, type AuditConfig } from '../config.js';

const STDOUT = 1;
/** Far longer than a line: 256 leaves and a note. */
const TAIL_BYTES = 256 * 1024;

/** Where checkpoints go that the owner of the database cannot rewrite: a file that only grows, or the log shipper. */
@Injectable()
export class CheckpointSink {
  constructor(
    @Inject(AUDIT_CONFIG) private readonly config: Pick<AuditConfig, 'AUDIT_CHECKPOINT_FILE' | 'AUDIT_CHECKPOINT_PIN'>,
  ) {}

  /** Resolves when it is on disk. One line a checkpoint; a line that a crash cut short is followed by the whole one. */
  async write(record: CheckpointRecord): Promise<void> {
    const line = `${exportCheckpoint(record)}\n`;
    const { AUDIT_CHECKPOINT_FILE: target, AUDIT_CHECKPOINT_PIN: pin } = this.config;
    if (target !== 'stdout') return this.append(target, line);
    await fs.appendFile(`/dev/fd/${STDOUT}`, line);
    if (pin !== undefined) await replace(pin, line);
  }

  /**
   * The last whole line that was written; null when there is none, or nothing from which it could be read back.
   *
   * @throws Error when something is there and no line of it is a checkpoint.
   */
  async last(): Promise<CheckpointRecord | null> {
    const file = this.readable();
    const text = file === null ? '' : await tailOf(file);
    if (text === '') return null;
    for (const line of text.split('\n').reverse()) {
      const record = readCheckpointLine(line);
      if (record) return record;
    }
    throw new Error('no line of the file of checkpoints can be read');
  }

  /** What "era open" left beside the file; null: nothing. */
  async eraOrder(): Promise<EraOrder | null> {
    const file = this.readable();
    const text = file === null ? '' : await tailOf(eraFileOf(file));
    return text === '' ? null : readEraOrder(text);
  }

  async removeEraOrder(): Promise<void> {
    const file = this.readable();
    if (file !== null) await fs.rm(eraFileOf(file), { force: true });
  }

  /** Whether what was published can be compared with the database at all. */
  readable(): string | null {
    const { AUDIT_CHECKPOINT_FILE: target, AUDIT_CHECKPOINT_PIN: pin } = this.config;
    return publishedFileOf({ all: target, pin });
  }

  private async append(target: string, line: string): Promise<void> {
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

/** Whole or not at all. */
async function replace(file: string, line: string): Promise<void> {
  const part = await fs.open(`${file}.part`, 'w', 0o600);
  try {
    await part.writeFile(line);
    await part.sync();
  } finally {
    await part.close();
  }
  await fs.rename(`${file}.part`, file);
}

async function tailOf(name: string): Promise<string> {
  let file: fs.FileHandle;
  try {
    file = await fs.open(name, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
  try {
    const { size } = await file.stat();
    const length = Math.min(size, TAIL_BYTES);
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString('utf8');
  } finally {
    await file.close();
  }
}
