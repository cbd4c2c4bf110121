import { type Document } from 'bson';
import { type Pool, type PoolClient } from 'pg';
import { noSuchTransaction } from './errors.js';

/** An idle transaction is rolled back after this time. */
const TRANSACTION_IDLE = '60s';
/** Blocked for this long inside a transaction counts as a conflict. MongoDB's wait is shorter still. */
const TRANSACTION_LOCK = '200ms';
const SESSION_IDLE_MS = 30 * 60_000;

type TransactionState = 'none' | 'open' | 'committed' | 'rolled-back';

/** A driver's logical session: at most one transaction, pinned to one connection, and the last retryable write. */
export class Session {
  lastUsed = Date.now();
  private number = '';
  private state: TransactionState = 'none';
  private client: PoolClient | undefined;
  private broken: Error | undefined;
  private retryable: { number: string; reply: Promise<Buffer> } | undefined;

  constructor(private readonly pool: Pool) {}

  get inTransaction(): boolean {
    return this.client !== undefined;
  }

  /** The connection of the command's transaction, which its first command opens. */
  async transaction(command: Document): Promise<PoolClient> {
    const number = String(command.txnNumber);
    if (command.startTransaction) await this.begin(number);
    if (this.number !== number || !this.client) {
      throw noSuchTransaction(`Given transaction number ${number} does not match any in-progress transaction`);
    }
    return this.client;
  }

  async commit(number: string): Promise<void> {
    if (this.number === number && this.state === 'committed') return; // a driver's retried commit
    if (this.number !== number || !this.client) throw noSuchTransaction(`Transaction ${number} has been aborted`);
    await this.end('commit');
  }

  async abort(number?: string): Promise<void> {
    if (!this.client || (number !== undefined && number !== this.number)) return;
    // A connection that is gone has rolled back already.
    await this.end('rollback').catch(() => undefined);
  }

  /** Runs a retryable write once: a driver that lost the reply and sends it again gets the first reply. */
  once(number: string, work: () => Promise<Buffer>): Promise<Buffer> {
    if (this.retryable?.number === number) return this.retryable.reply;
    const reply = work();
    this.retryable = { number, reply };
    return reply;
  }

  private async begin(number: string): Promise<void> {
    await this.abort();
    const client = await this.pool.connect();
    this.broken = undefined;
    client.on('error', this.onError);
    this.client = client;
    this.number = number;
    this.state = 'open';
    await client.query(
      `begin isolation level repeatable read; set local lock_timeout='${TRANSACTION_LOCK}'; ` +
        `set local idle_in_transaction_session_timeout='${TRANSACTION_IDLE}'`,
    );
  }

  private async end(verb: 'commit' | 'rollback'): Promise<void> {
    const { client } = this;
    if (!client) return;
    this.client = undefined;
    this.state = 'rolled-back';
    try {
      await client.query(verb);
      if (verb === 'commit') this.state = 'committed';
    } finally {
      client.off('error', this.onError);
      client.release(this.broken);
    }
  }

  private readonly onError = (error: Error): void => {
    this.broken = error;
  };
}

/** All sessions by their id. Drivers that were killed never end theirs; those are dropped after half an hour. */
export class Sessions {
  private readonly byId = new Map<string, Session>();

  constructor(private readonly pool: Pool) {
    setInterval(() => void this.dropIdle(), SESSION_IDLE_MS / 10).unref();
  }

  of(command: Document): Session {
    const id = sessionId(command.lsid as Document | undefined);
    if (id === undefined) return new Session(this.pool);
    const known = this.byId.get(id) ?? new Session(this.pool);
    known.lastUsed = Date.now();
    this.byId.set(id, known);
    return known;
  }

  async end(lsids: Document[]): Promise<void> {
    for (const lsid of lsids) await this.drop(sessionId(lsid) ?? '');
  }

  private async dropIdle(): Promise<void> {
    for (const [id, session] of this.byId) if (Date.now() - session.lastUsed > SESSION_IDLE_MS) await this.drop(id);
  }

  private async drop(id: string): Promise<void> {
    await this.byId.get(id)?.abort();
    this.byId.delete(id);
  }
}

function sessionId(lsid: Document | undefined): string | undefined {
  return (lsid?.id as { toString(encoding: 'hex'): string } | undefined)?.toString('hex');
}
