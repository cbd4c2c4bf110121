import { Inject, Injectable } from '@nestjs/common';
import {
  type Checkpoint,
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

/** Why the log is not signed: what stands in the database is not what was signed, or what was published cannot be read. */
export type Refusal =
  'log_shorter_than_signed' | 'log_does_not_continue' | 'checkpoint_untrusted' | 'sink_not_ours' | 'sink_unreadable';

class MissingEntry extends Error {
  constructor(seq: number) {
    super(`the log has no entry ${seq}`);
  }
}

/** A log that the operator lets go on though it does not continue what was published. */
export interface NewEra {
  note: string;
  reason: string;
  size: number;
  /** Base64, as in the note. */
  root: string;
}

/**
 * Signs how far the log goes, every 256 entries and whenever it is asked to. Called by the log's writer only. Never signs
 * a log that does not continue the last line that this process published.
 */
@Injectable()
export class Checkpointer {
  readonly signer: NoteSigner;
  /** Null: what is there may be signed. */
  refusal: Refusal | null = null;
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
    // What is refused is looked at again by the clock: comparing may read the whole log, and events go on coming.
    if (this.refusal !== null && !even) return 0;
    // Another process has signed further, or entries are gone: looking again tells which.
    if (this.tree && size < this.tree.size) this.tree = null;
    this.tree ??= await this.resume();
    while (this.tree && size - this.tree.size >= CHECKPOINT_ENTRIES) {
      await this.sign(this.tree, this.tree.size + CHECKPOINT_ENTRIES);
    }
    if (even && this.tree && size > this.tree.size) await this.sign(this.tree, size);
    if (!this.tree) return 0;
    await this.publish();
    return this.tree.size;
  }

  /** Compares what was published with what is stored, so that a difference is told of before anything is signed. */
  async examine(): Promise<void> {
    if (this.sink.readable() === null) {
      this.logger.warn(
        { state: 'sink_not_read_back' },
        'published checkpoints cannot be compared with the database: set AUDIT_CHECKPOINT_FILE or AUDIT_CHECKPOINT_PIN',
      );
    }
    this.tree ??= await this.resume();
  }

  /** Set where the log does not continue the last published line, and the operator has named that very line. */
  async orderedEra(): Promise<NewEra | null> {
    if (this.refusal === null) return null;
    const [last, order] = [await this.sink.last().catch(() => null), await this.sink.eraOrder()];
    if (!last || order?.note !== last.note) return null;
    const [, size = '', root = ''] = last.note.split('\n');
    return { ...order, size: Number(size), root };
  }

  /** Goes on from what of the checkpoints in the database is signed of these very entries. */
  async beginEra(): Promise<void> {
    const base = await this.soundBase();
    await this.checkpoints.removeAfter(base.size);
    this.tree = base;
    this.refusal = null;
  }

  /** The leave is used up once something newer is the last line. */
  async endEraOrder({ note }: NewEra): Promise<void> {
    if ((await this.sink.last())?.note !== note) await this.sink.removeEraOrder();
  }

  private async sign(before: GrowingTree, size: number): Promise<void> {
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
        if (row.seq !== tree.size) throw new MissingEntry(tree.size);
        const leaf = entryHash(row.entry);
        tree.append(leaf);
        leaves.push(leaf.toString('base64url'));
      }
    }
    if (tree.size !== size) throw new MissingEntry(tree.size);
    return { tree, leaves };
  }

  /** The tree of the newest checkpoint, if it is ours, of these entries, and continues the last published line. */
  private async resume(): Promise<GrowingTree | null> {
    try {
      return await this.compare();
    } catch (error) {
      if (error instanceof MissingEntry) return this.refuse('log_shorter_than_signed');
      throw error;
    }
  }

  private async compare(): Promise<GrowingTree | null> {
    // First what is outside: its row was in the database before it, also if another process is at work.
    const outside = await this.readOutside();
    if (typeof outside === 'string') return this.refuse(outside);
    const newest = await this.checkpoints.newest();
    const tree = newest ? await this.treeOf(newest) : new GrowingTree();
    if (!tree) return this.refuse('checkpoint_untrusted');
    if (newest) {
      const [last] = await this.entries.range(tree.size - 1, tree.size);
      if (!last) return this.refuse('log_shorter_than_signed');
      const isSame = entryHash(last.entry).toString('base64url') === newest.leaves.at(-1);
      if (!isSame) return this.refuse('log_does_not_continue');
    }
    if (outside && !(await this.continues(outside, tree))) return this.refuse('log_does_not_continue');
    if (!outside && newest?.published && this.sink.readable() !== null) {
      this.logger.error({ state: 'sink_empty', count: newest._id }, 'what was published is not there any more');
    }
    this.refusal = null;
    return tree;
  }

  /** The last published checkpoint; null: there is none to be read. */
  private async readOutside(): Promise<Checkpoint | null | Refusal> {
    let note: string | undefined;
    try {
      note = (await this.sink.last())?.note;
    } catch (err) {
      this.logger.error({ err }, 'what was published cannot be read');
      return 'sink_unreadable';
    }
    if (note === undefined) return null;
    const last = openCheckpoint(this.signer, note);
    return last?.origin === this.signer.name ? last : 'sink_not_ours';
  }

  private async continues(last: Checkpoint, tree: GrowingTree): Promise<boolean> {
    if (last.size > tree.size) return false;
    if (last.size === tree.size) return tree.root().equals(last.root);
    const [row, ...later] = await this.checkpoints.from(last.size);
    // Without a row of that size the entries themselves must be those that were published.
    let grown = row?._id === last.size ? await this.treeOf(row) : null;
    const after = row && row._id !== last.size ? [row, ...later] : later;
    grown ??= (await this.grow(new GrowingTree(), last.size)).tree;
    if (!grown.root().equals(last.root)) return false;
    for (const { leaves } of after) for (const leaf of leaves) grown.append(Buffer.from(leaf, 'base64url'));
    return grown.size === tree.size && grown.root().equals(tree.root());
  }

  /** Null: the row is not ours, or of other entries. */
  private async treeOf(row: StoredCheckpoint): Promise<GrowingTree | null> {
    const signed = openCheckpoint(this.signer, row.note);
    if (signed?.size !== row._id || signed.origin !== this.signer.name) return null;
    try {
      const tree = new GrowingTree(
        row._id,
        row.subtrees.map((hash) => Buffer.from(hash, 'base64url')),
      );
      if (tree.root().equals(signed.root)) return tree;
    } catch {
      // Not even a tree of that size: the entries tell.
    }
    const { tree } = await this.grow(new GrowingTree(), row._id);
    return tree.root().equals(signed.root) ? tree : null;
  }

  /** The largest signed tree that the entries still are. */
  private async soundBase(): Promise<GrowingTree> {
    let [base, grown] = [new GrowingTree(), new GrowingTree()];
    for (const { _id: size, note } of await this.checkpoints.from(0)) {
      const more = await this.grow(grown, size).catch((error: unknown) => {
        if (error instanceof MissingEntry) return null;
        throw error;
      });
      // What comes after is larger still.
      if (!more) break;
      grown = more.tree;
      const signed = openCheckpoint(this.signer, note);
      if (signed?.size === size && signed.root.equals(grown.root())) base = grown;
    }
    return base;
  }

  private refuse(refusal: Refusal): null {
    this.refusal = refusal;
    this.tree = null;
    this.logger.error(
      { state: refusal },
      'the log is not what was signed: it is stored and not signed any more until that is mended (docs/operations.md)',
    );
    return null;
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
