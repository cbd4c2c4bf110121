import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Redis } from 'ioredis';
import { AppLogger } from '#observability';
import { asking, askingConnection, connect, tryWrite } from './connections.js';
import { QUEUE_OPTIONS, type QueueModuleOptions } from './options.js';
import { checkRedis } from './server-check.js';

const PREFIX = 'countersign:blob:';

/**
 * Short-lived bytes beside the jobs: frames, evidence, templates in flight. They live in the Redis of `blobUrl`, which
 * in production keeps no persistence file, so nothing erased survives there. Every blob has a life in seconds.
 */
@Injectable()
export class BlobStore implements OnModuleInit, OnApplicationShutdown {
  private readonly redis: Redis;

  constructor(
    @Inject(QUEUE_OPTIONS) private readonly options: QueueModuleOptions,
    private readonly logger: AppLogger,
  ) {
    this.redis = askingConnection(options.blobUrl);
  }

  async onModuleInit(): Promise<void> {
    await connect(this.redis);
    await checkRedis(this.redis, 'REDIS_BLOB_URL', this.options, this.logger);
  }

  async put(key: string, bytes: Uint8Array, ttlSeconds: number): Promise<void> {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    await asking(() => this.redis.set(PREFIX + key, buffer, 'EX', ttlSeconds));
  }

  get(key: string): Promise<Buffer | null> {
    return asking(() => this.redis.getBuffer(PREFIX + key));
  }

  async delete(...keys: string[]): Promise<void> {
    if (keys.length > 0) await asking(() => this.redis.unlink(keys.map((key) => PREFIX + key)));
  }

  async exists(key: string): Promise<boolean> {
    return (await asking(() => this.redis.exists(PREFIX + key))) === 1;
  }

  /** What the server of the blobs holds in all, and the most it may hold (null: no limit of its own), in bytes. */
  async memory(): Promise<{ usedBytes: number; maxBytes: number | null }> {
    const info = await asking(() => this.redis.info('memory'));
    const read = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
    return { usedBytes: read('used_memory'), maxBytes: read('maxmemory') || null };
  }

  /** Rejects with TransportDownError when Redis does not answer, or takes no writes. */
  async tryWrite(): Promise<void> {
    await asking(() => tryWrite(this.redis));
  }

  onApplicationShutdown(): void {
    this.redis.disconnect();
  }
}
