import type net from 'node:net';

const OP_REPLY = 1;
const OP_QUERY = 2004;
const OP_MSG = 2013;
const HEADER_BYTES = 16;
const MESSAGE_BYTES_MAX = 48_000_000;
const CHECKSUM_PRESENT = 1;
const MORE_TO_COME = 2;

/** One request: the command's BSON bytes and, apart from it, the documents of an insert, update or delete. */
export interface Request {
  command: Buffer;
  documents: Buffer | null;
}

export type Answer = (request: Request, socket: net.Socket) => Promise<Buffer>;

/** Serves one client connection: requests are answered in the order they came. */
export function serve(socket: net.Socket, answer: Answer): void {
  let chain = Promise.resolve();
  const onMessage = (message: Buffer) => {
    chain = chain.then(() => reply(message, socket, answer)).catch(() => void socket.destroy());
  };
  socket.setNoDelay(true).on('error', () => undefined);
  socket.on(
    'data',
    split(onMessage, () => socket.destroy()),
  );
}

/** Cuts a stream into messages by the length each one starts with. */
export function split(onMessage: (message: Buffer) => void, onBad: () => void): (data: Buffer) => void {
  let chunks: Buffer[] = [];
  let have = 0;
  return (data) => {
    chunks.push(data);
    have += data.length;
    while (have >= HEADER_BYTES) {
      if ((chunks[0]?.length ?? 0) < 4) chunks = [Buffer.concat(chunks)];
      const need = chunks[0]?.readInt32LE(0) ?? 0;
      if (need < HEADER_BYTES || need > MESSAGE_BYTES_MAX) return onBad();
      if (have < need) return;
      const all = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
      have -= need;
      chunks = have ? [all.subarray(need)] : [];
      onMessage(all.subarray(0, need));
    }
  };
}

async function reply(message: Buffer, socket: net.Socket, answer: Answer): Promise<void> {
  const id = message.readInt32LE(4);
  const opCode = message.readInt32LE(12);
  if (opCode === OP_QUERY) {
    // Only a driver's very first hello still comes this way.
    const start = message.indexOf(0, 20) + 1 + 8;
    const command = message.subarray(start, start + message.readInt32LE(start));
    const body = await answer({ command, documents: null }, socket);
    const head = Buffer.alloc(20);
    head.writeInt32LE(8, 0);
    head.writeInt32LE(1, 16);
    socket.write(frame(id, OP_REPLY, [head, body]));
    return;
  }
  if (opCode !== OP_MSG) throw new Error(`unknown opCode ${opCode}`);
  const body = await answer(parseMsg(message), socket);
  if (!(message.readUInt32LE(16) & MORE_TO_COME)) socket.write(frame(id, OP_MSG, [Buffer.alloc(5), body]));
}

function parseMsg(message: Buffer): Request {
  const flags = message.readUInt32LE(16);
  const end = message.length - (flags & CHECKSUM_PRESENT ? 4 : 0);
  let command: Buffer | undefined;
  let documents: Buffer | null = null;
  for (let at = 20; at < end;) {
    const kind = message.readUInt8(at);
    at += 1;
    const size = message.readInt32LE(at);
    if (size < 5 || at + size > end) throw new Error('a section is longer than its message');
    if (kind === 0) command = message.subarray(at, at + size);
    else documents = message.subarray(message.indexOf(0, at + 4) + 1, at + size);
    at += size;
  }
  if (!command) throw new Error('a message without a command');
  return { command, documents };
}

let nextId = 1;
function frame(to: number, opCode: number, parts: Buffer[]): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeInt32LE(
    parts.reduce((sum, part) => sum + part.length, HEADER_BYTES),
    0,
  );
  header.writeInt32LE(nextId++, 4);
  header.writeInt32LE(to, 8);
  header.writeInt32LE(opCode, 12);
  return Buffer.concat([header, ...parts]);
}

/** A request as a client sends it, for the few commands the tools themselves need. */
export const requestFrame = (command: Uint8Array): Buffer => frame(0, OP_MSG, [Buffer.alloc(5), Buffer.from(command)]);

/** The BSON bytes in a server's answer to `requestFrame`. */
export const answerOf = (message: Buffer): Buffer => parseMsg(message).command;
