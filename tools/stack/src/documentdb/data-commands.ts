import { deserialize, type Document, serialize } from 'bson';
import { type Pool, type PoolClient } from 'pg';
import { duplicateInfo } from './duplicate-keys.js';
import {
  DUPLICATE_KEY,
  isConflict,
  mongoCode,
  MongoError,
  sqlStateOf,
  unpackSqlState,
  writeConflict,
} from './errors.js';
import { RerunLane } from './rerun.js';
import { type Session } from './sessions.js';
import { type Row, type Statement } from './statements.js';

export interface DataCommand {
  name: string;
  parsed: Document;
  bytes: Buffer;
  documents: Buffer | null;
}

interface WriteError {
  index: number;
  code: number;
  errmsg: string;
}

/** A failed write inside a transaction: the reply is the server's own, but the transaction has ended. */
class FailedInTransaction extends Error {
  constructor(readonly reply: Buffer) {
    super('write error');
  }
}

/** Runs the commands that read and write data, each as one SQL statement that gets the command's own bytes. */
export class DataCommands {
  private readonly lane = new RerunLane();

  constructor(
    private readonly pool: Pool,
    /** Cursor id → continuation. */
    private readonly cursors: Map<string, Buffer>,
  ) {}

  async run(command: DataCommand, statement: Statement, session: Session): Promise<Buffer> {
    const inTransaction = command.parsed.autocommit === false;
    try {
      const row = await this.execute(command, statement, session, inTransaction);
      if (row.next && row.cursor) this.cursors.set(String(row.cursor), row.next);
      const reply = row.retval
        ? Buffer.from(row.retval.slice('BSONHEX'.length), 'hex')
        : (row.reply ?? Buffer.alloc(0));
      if (row.ok === false || command.name === 'listIndexes') return await this.correct(command, reply, inTransaction);
      return reply;
    } catch (error) {
      if (inTransaction) await session.abort(); // as in MongoDB, any error ends it
      if (error instanceof FailedInTransaction) return error.reply;
      throw await this.translate(command, error, inTransaction);
    }
  }

  private async execute(
    command: DataCommand,
    statement: Statement,
    session: Session,
    inTransaction: boolean,
  ): Promise<Row> {
    const { name, parsed } = command;
    const given = {
      db: String(parsed.$db),
      coll: String(parsed[name] ?? ''),
      cmd: counted(command),
      seq: command.documents,
    };
    const query = { name, text: statement.text, values: statement.args.map((argument) => given[argument]) };
    const rules = { inTransaction, upsert: /^findandmodify$/i.test(name) && Boolean(parsed.upsert) };
    if (inTransaction) return this.lane.query(await session.transaction(parsed), query, rules);
    const timeLimitMs = Number(parsed.maxTimeMS ?? 0);
    if (!timeLimitMs) return this.lane.query(this.pool, query, rules);
    return this.limited(timeLimitMs, (client) => this.lane.query(client, query, rules));
  }

  private async limited(timeLimitMs: number, work: (client: PoolClient) => Promise<Row>): Promise<Row> {
    const client = await this.pool.connect();
    try {
      await client.query(`set statement_timeout=${timeLimitMs}`);
      return await work(client);
    } finally {
      // If the limit cannot be taken off again the connection must not go back into the pool.
      const failed = await client.query('set statement_timeout=0').then(
        () => undefined,
        () => true,
      );
      client.release(failed);
    }
  }

  /** Replies that need a second look: codes of write errors, and an index list's extra field. */
  private async correct(command: DataCommand, reply: Buffer, inTransaction: boolean): Promise<Buffer> {
    const isList = command.name === 'listIndexes';
    const parsed = deserialize(reply, { promoteLongs: false, promoteValues: !isList });
    if (isList) {
      const { cursor } = parsed as { cursor: { firstBatch: Document[] } };
      for (const index of cursor.firstBatch) delete index.storageEngine;
    }
    const writeErrors = (parsed.writeErrors ?? []) as WriteError[];
    for (const writeError of writeErrors) await this.correctWriteError(command, writeError, inTransaction);
    const bytes = Buffer.from(serialize(parsed));
    if (inTransaction && writeErrors.length) throw new FailedInTransaction(bytes);
    return bytes;
  }

  private async correctWriteError(command: DataCommand, writeError: WriteError, inTransaction: boolean): Promise<void> {
    const state = unpackSqlState(writeError.code);
    if (inTransaction && isConflict(state)) throw writeConflict(writeError.errmsg);
    writeError.code = mongoCode(state)?.code ?? writeError.code;
    if (writeError.code !== DUPLICATE_KEY) return;
    const document = command.name === 'insert' ? nthDocument(command, writeError.index) : undefined;
    Object.assign(writeError, await duplicateInfo(this.pool, namespaceOf(command), writeError.errmsg, document));
  }

  private async translate(command: DataCommand, error: unknown, inTransaction: boolean): Promise<unknown> {
    const state = sqlStateOf(error);
    const message = error instanceof Error ? error.message : String(error);
    if (inTransaction && isConflict(state)) return writeConflict(message);
    if (mongoCode(state)?.code !== DUPLICATE_KEY) return error;
    const { errmsg, ...extra } = (await duplicateInfo(this.pool, namespaceOf(command), message)) ?? { errmsg: message };
    return new MongoError(DUPLICATE_KEY, 'DuplicateKey', errmsg, [], extra);
  }
}

const namespaceOf = ({ name, parsed }: DataCommand) => ({ db: String(parsed.$db), coll: String(parsed[name] ?? '') });

/** A count with an empty filter would be answered from statistics, which lag behind; this one is counted. */
function counted({ name, parsed, bytes }: DataCommand): Buffer {
  if (name !== 'count' || Object.keys((parsed.query ?? {}) as Document).length) return bytes;
  return Buffer.from(serialize({ ...parsed, query: { _id: { $exists: true } } }));
}

function nthDocument({ parsed, documents }: DataCommand, index: number): Document | undefined {
  if (!documents) {
    const document = (parsed.documents as Document[])[index];
    return document && deserialize(serialize(document));
  }
  let at = 0;
  for (let left = index; left > 0; left--) at += documents.readInt32LE(at);
  return deserialize(documents.subarray(at, at + documents.readInt32LE(at)));
}
