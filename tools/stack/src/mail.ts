import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import type net from 'node:net';
import path from 'node:path';
import { simpleParser } from 'mailparser';
import { SMTPServer } from 'smtp-server';
import { type Log } from './shell.js';

const MAIL_BYTES_MAX = 5_000_000;

export interface MailCatcher {
  url: string;
  stop(): Promise<void>;
}

/** A mail server that delivers nowhere: each message becomes a file that only we can read, and one line of log. */
export async function startMailCatcher(
  folder: string,
  log: Log,
  at: { host: string; port: number } = { host: '127.0.0.1', port: 0 },
): Promise<MailCatcher> {
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    disableReverseLookup: true,
    size: MAIL_BYTES_MAX,
    onData(stream, session, done) {
      const { mailFrom, rcptTo } = session.envelope;
      const envelope = { from: mailFrom ? mailFrom.address : '', to: rcptTo.map(({ address }) => address) };
      receive(stream, folder, envelope, log).then(
        () => done(),
        (error: Error) => done(error),
      );
    },
  });
  server.on('error', () => undefined); // a client that hung up
  const listening = server.listen(at.port, at.host);
  await new Promise<void>((resolve, reject) => listening.once('listening', resolve).once('error', reject));
  const { port } = listening.address() as net.AddressInfo;
  return {
    url: `smtp://127.0.0.1:${port}`,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

async function receive(
  stream: AsyncIterable<Buffer> & { sizeExceeded?: boolean },
  folder: string,
  envelope: { from: string; to: string[] },
  log: Log,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  if (stream.sizeExceeded) throw Object.assign(new Error('message too large'), { responseCode: 552 });
  const bytes = Buffer.concat(chunks);
  const { subject } = await simpleParser(bytes, { skipHtmlToText: true, skipImageLinks: true });
  const name = `${new Date().toISOString().replace(/[:.]/g, '-')}-${randomBytes(3).toString('hex')}.eml`;
  // Renamed into place: whoever waits for a mail must never read half of it.
  const file = path.join(folder, name);
  fs.writeFileSync(`${file}.part`, bytes, { mode: 0o600 });
  fs.renameSync(`${file}.part`, file);
  log(
    `mail: ${printable(envelope.from)} → ${printable(envelope.to.join(', '))}: ${printable(subject ?? '(no subject)')}`,
  );
}

/** What strangers wrote goes to a terminal: no control characters. */
const printable = (text: string): string => text.replace(/\p{C}+/gu, ' ').slice(0, 200);
