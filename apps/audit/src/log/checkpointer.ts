import { Inject, Injectable } from '@nestjs/common';
import {
  entryHash,
  GrowingTree,
  noteSigner,
  type NoteSigner,
  openCheckpoint,
  signCheckpoint,
  type StoredCheckpoint,
} from '#audit-log';
import { AppLogger } from '#observability';
import { AUDIT_CONFIG, type AuditConfig } from '../config.js';
import { CheckpointSink } from './checkpoint-sink.js';
import { CheckpointsRepository } from './checkpoints.repository.js';
import { EntriesRepository } from './entries.repository.js';

export const CHECKPOINT_ENTRIES = 256;
const PUBLISH_PAGE = 100;

/** Signs how far the log goes, every 256 entries and whenever it is asked to. Called by the log's writer only. */
@Injectable()
export class Checkpointer {
  readonly signer: NoteSigner;
  /** The tree of the newest checkpoint. */
  private tree: GrowingTree | null = null;

  constructor(
    @Inject(AUDIT_CONFIG) config: Pick<AuditConfig, 'CHECKPOINT_KEY' | 'CHECKPOINT_ORIGIN' | 'PUBLIC_URL'>,
    private readonly checkpoints: CheckpointsRepository,
    private readonly entries: EntriesRepository,
    private readonly sink: CheckpointSink,
    private readonly logger: AppLogger,
  ) {
    const origin = config.CHECKPOINT_ORIGIN ?? `${new URL(config.PUBLIC_URL).host}/audit`;
    this.signer = noteSigner(origin, config.CHECKPOINT_KEY);
  }

  /** `even`: also when fewer than 256 entries have come. Returns how many entries are signed. */
  async advance(size: number, { even }: { even: boolean }): Promise<number> {
    this.tree ??= await this.resume();
    while (size - this.tree.size >= CHECKPOINT_ENTRIES) await this.sign(this.tree.size + CHECKPOINT_ENTRIES);
    if (even && size > this.tree.size) await this.sign(size);
    if (size < this.tree.size)
      this.logger.error({ state: 'log_shorter_than_signed', count: size }, 'entries are missing');
    await this.publish();
    return this.tree?.size ?? 0;
  }

  private async sign(size: number): Promise<void> {
    const before = this.tree ?? (await this.resume());
    this.tree = null;
    const { tree, leaves } = await this.grow(before, size);
    const note = signCheckpoint(this.signer, { origin: this.signer.name, size, root: tree.root() });
    const subtrees = tree.subtrees.map((hash) => hash.toString('base64url'));
    const isNew = await this.checkpoints.insert({ _id: size, note, leaves, subtrees, published: false });
    this.tree = isNew ? tree : await this.resume();
  }

  private async grow(before: GrowingTree, size: number): Promise<{ tree: GrowingTree; leaves: string[] }> {
    const tree = new GrowingTree(before.size, before.subtrees);
    const leaves: string[] = [];
    for (let from = before.size; from < size; from += CHECKPOINT_ENTRIES) {
      const rows = await this.entries.range(from, Math.min(from + CHECKPOINT_ENTRIES, size));
      for (const row of rows) {
        if (row.seq !== tree.size) throw new Error(`the log has no entry ${tree.size}`);
        const leaf = entryHash(row.entry);
        tree.append(leaf);
        leaves.push(leaf.toString('base64url'));
      }
    }
    if (tree.size !== size) throw new Error(`the log has no entry ${tree.size}`);
    return { tree, leaves };
  }

  /** From the newest checkpoint if it is ours and sound, else from the first entry. */
  private async resume(): Promise<GrowingTree> {
    const newest = await this.checkpoints.newest();
    if (!newest) return new GrowingTree();
    const tree = this.treeOf(newest);
    if (tree) return tree;
    this.logger.error(
      { state: 'checkpoint_untrusted', count: newest._id },
      'the newest checkpoint is not ours as it is',
    );
    return (await this.grow(new GrowingTree(), newest._id)).tree;
  }

  private treeOf(row: StoredCheckpoint): GrowingTree | null {
    const signed = openCheckpoint(this.signer, row.note);
    if (signed?.size !== row._id) return null;
    try {
      const tree = new GrowingTree(
        row._id,
        row.subtrees.map((hash) => Buffer.from(hash, 'base64url')),
      );
      return tree.root().equals(signed.root) ? tree : null;
    } catch {
      return null;
    }
  }

  /** Those that are not outside the database yet. If they cannot be now, the next checkpoint tries again. */
  private async publish(): Promise<void> {
    for (const row of await this.checkpoints.findUnpublished(PUBLISH_PAGE)) {
      try {
        await this.sink.write(row);
      } catch (err) {
        this.logger.error(
          { err, state: 'checkpoint_sink_failed', count: row._id },
          'a checkpoint could not be published',
        );
        return;
      }
      await this.checkpoints.markPublished(row._id);
    }
  }
}
