import { deserialize, serialize } from 'bson';
import net from 'node:net';
import { Pool } from 'pg';
import { DataCommands } from './data-commands.js';
import { errorReply, MongoError } from './errors.js';
import { OWN_COMMANDS } from './own-commands.js';
import { Sessions } from './sessions.js';
import { SETTINGS, STATEMENTS } from './statements.js';
import { type Answer, serve } from './wire.js';

const POOL_SIZE = 100;

export interface Gateway {
  port: number;
  close(): Promise<void>;
}

/**
 * MongoDB's commands, answered by PostgreSQL with the DocumentDB extension, for development and tests. Commands go
 * on as the bytes they came as; the gateway itself keeps three things: open cursors, transactions (one pinned
 * connection each), and the last reply to a retryable write of each session.
 */
export function open(pgUrl: string): { answer: Answer; close: () => Promise<void> } {
  const options = Object.entries(SETTINGS).map(([name, value]) => `-c ${name}=${value}`);
  const pool = new Pool({ connectionString: pgUrl, max: POOL_SIZE, options: options.join(' ') });
  pool.on('error', () => undefined); // an idle connection went away; the pool replaces it
  return { answer: answerWith(pool), close: () => pool.end() };
}

/** `open` with MongoDB's wire protocol before it, on a port of the loopback interface. */
export async function listen(pgUrl: string, port: number): Promise<Gateway> {
  const { answer, close } = open(pgUrl);
  const server = net.createServer((socket) => serve(socket, answer));
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    async close() {
      server.close();
      await close();
    },
  };
}

function answerWith(pool: Pool): Answer {
  const cursors = new Map<string, Buffer>();
  const sessions = new Sessions(pool);
  const data = new DataCommands(pool, cursors);
  const trace = Boolean(process.env.GATEWAY_TRACE);

  return async ({ command: bytes, documents }, socket) => {
    const parsed = deserialize(bytes, { promoteLongs: false, promoteBuffers: false });
    const name = Object.keys(parsed)[0] ?? '';
    const session = sessions.of(parsed);
    const work = async (): Promise<Buffer> => {
      try {
        const statement = STATEMENTS.get(name);
        const own = OWN_COMMANDS.get(name);
        if (own) return toBytes(await own({ parsed, bytes, socket, session }, { pool, sessions, cursors }));
        if (statement) return await data.run({ name, parsed, bytes, documents }, statement, session);
        throw new MongoError(59, 'CommandNotFound', `no such command: '${name}'`);
      } catch (error) {
        if (trace) console.error(name, error);
        return toBytes(errorReply(error));
      }
    };
    const retryable = parsed.txnNumber !== undefined && parsed.autocommit === undefined;
    return retryable ? session.once(String(parsed.txnNumber), work) : work();
  };
}

function toBytes(reply: Buffer | Record<string, unknown>): Buffer {
  return Buffer.isBuffer(reply) ? reply : Buffer.from(serialize(reply));
}
