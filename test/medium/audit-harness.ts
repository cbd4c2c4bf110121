import { spawnSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type ClientProxy, ClientProxyFactory, Transport } from '@nestjs/microservices';
import { getConnectionToken } from '@nestjs/mongoose';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { type ParsedMail, simpleParser } from 'mailparser';
import type { Collection, Connection, mongo } from 'mongoose';
import { firstValueFrom, timeout } from 'rxjs';
import { SMTPServer } from 'smtp-server';
import type { LogEntry, StoredEntry, VerifyReport } from '#audit-log';
import { AUDIT_PATTERNS } from '#contracts';
import type { GuardStore } from '#guard';
import { AppLogger, createLogger } from '#observability';
import { anyFreePort, repositoryRoot, servicesOfTestRun, withDatabase } from '#stack';
import { AppModule } from '../../apps/audit/src/app.module.js';
import { type AuditConfig, loadConfig } from '../../apps/audit/src/config.js';
import { GUARD_STORE } from '../../apps/audit/src/guard-store.js';
import { Checkpointer } from '../../apps/audit/src/log/checkpointer.js';
import { LogWriter } from '../../apps/audit/src/log/log-writer.js';
import { listen } from '../../apps/audit/src/start.js';
import { LogRepository } from '../../apps/cli/src/audit/log.repository.js';
import { readCheckpointFile, verifyStored } from '../../apps/cli/src/audit/sources.js';
import { ownRedisUrl } from '../redis-database.js';

/** Longer than any test: sweeps run only when a test asks for them. */
const NO_SWEEPS_MS = 3_600_000;

/** The real audit app in this process, against real servers and a mail server of its own. */
export interface AuditUnderTest {
  app: NestFastifyApplication;
  config: AuditConfig;
  guard: GuardStore;
  smtp: MailCatcher;
  logs: string[];
  collection<T extends object>(name: string): Collection<T>;
  db: mongo.Db;
  ask(query: object): Promise<unknown>;
  /** The entries of a user (by pseudonym, or of nobody) as they stand in the log. */
  entriesOf(userId: string | null): Promise<LogEntry[]>;
  /** The whole log against its checkpoints, those in the file included; a checkpoint is made first. */
  verify(): Promise<VerifyReport>;
  close(): Promise<void>;
}

export async function startAudit(o: {
  database: string;
  sweepMs?: number;
  env?: Record<string, string>;
  /** A second process beside one that runs, on its database. */
  beside?: boolean;
}): Promise<AuditUnderTest> {
  const services = servicesOfTestRun();
  const smtp = new MailCatcher();
  await smtp.start();
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'audit-'));
  const config = loadConfig({
    MONGODB_URI: withDatabase(services.mongoUri, o.database),
    REDIS_URL: o.env?.REDIS_URL ?? (await ownRedisUrl()),
    AUDIT_HOST: '127.0.0.1',
    AUDIT_PORT: String(await anyFreePort()),
    AUDIT_SHARED_SECRET: randomBytes(32).toString('base64url'),
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}`,
    MAIL_FROM: 'Countersign <no-reply@countersign.test>',
    MAIL_KEY: randomBytes(32).toString('base64url'),
    PUBLIC_URL: 'https://auth.countersign.test',
    EVENT_KEK: randomBytes(32).toString('base64url'),
    CHECKPOINT_KEY: randomBytes(32).toString('base64url'),
    AUDIT_CHECKPOINT_FILE: path.join(dir, 'checkpoints.jsonl'),
    HEALTH_PORT: '0',
    LOG_LEVEL: 'debug',
    ...o.env,
  });
  const logs: string[] = [];
  const logger = createLogger({
    name: 'audit',
    level: 'debug',
    destination: { write: (line) => void logs.push(line) },
  });
  const module = await Test.createTestingModule({ imports: [AppModule.forRoot(config, o.sweepMs ?? NO_SWEEPS_MS)] })
    .overrideProvider(AppLogger)
    .useValue(logger)
    .setLogger(false as never)
    .compile();
  const connection = module.get<Connection>(getConnectionToken());
  if (!o.beside) await connection.dropDatabase();
  const app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
  await listen(app, config);
  const guard = app.get<GuardStore>(GUARD_STORE);
  await guard.ensureIndexes();
  const client = ClientProxyFactory.create({
    transport: Transport.TCP,
    options: { host: config.AUDIT_HOST, port: config.AUDIT_PORT },
  });
  return {
    app,
    config,
    guard,
    smtp,
    logs,
    collection: <T extends object>(name: string) => connection.collection<T>(name),
    db: connection.getClient().db(connection.name),
    ask: (query) => request(client, query),
    entriesOf: async (userId) => {
      const subjects = connection.collection<{ _id: string; pseudonym?: string }>('subjects');
      const subject = userId && ((await subjects.findOne({ _id: userId }))?.pseudonym ?? userId);
      const rows = await connection.collection<StoredEntry>('face_auth_events').find({ subject }).toArray();
      return rows.map((row) => JSON.parse(row.entry) as LogEntry);
    },
    verify: async () => {
      await app.get(LogWriter).checkpoint();
      const file = config.AUDIT_CHECKPOINT_FILE;
      const published = fs.existsSync(file) ? readCheckpointFile(file) : [];
      const log = await LogRepository.connect(config.MONGODB_URI);
      try {
        return await verifyStored(log, app.get(Checkpointer).signer, published, () => undefined);
      } finally {
        await log.close();
      }
    },
    close: async () => {
      await client.close();
      if (!o.beside) await connection.dropDatabase();
      await app.close();
      await smtp.stop();
      fs.rmSync(dir, { recursive: true, force: true });
    },
  };
}

const request = (client: ClientProxy, query: object): Promise<unknown> =>
  firstValueFrom(client.send<unknown>(AUDIT_PATTERNS.listEvents, query).pipe(timeout(5_000)));

/** An SMTP server that can go away, come back at the same address, and refuse. */
export class MailCatcher {
  readonly mails: ParsedMail[] = [];
  /** How often to say 451 after having read the whole mail; what was refused stands in `refused`. */
  refuse = 0;
  readonly refused: ParsedMail[] = [];
  port = 0;
  private server: SMTPServer | null = null;

  async start(): Promise<void> {
    const server = new SMTPServer({
      disabledCommands: ['AUTH', 'STARTTLS'],
      onData: (stream, _session, done) => {
        simpleParser(stream).then(
          (mail) => {
            if (this.refuse > 0) {
              this.refuse -= 1;
              this.refused.push(mail);
              done(Object.assign(new Error('try later'), { responseCode: 451 }));
            } else {
              this.mails.push(mail);
              done();
            }
          },
          (error: Error) => done(error),
        );
      },
    });
    server.on('error', () => undefined);
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve));
    const address = server.server.address();
    this.port = typeof address === 'object' && address ? address.port : 0;
    this.server = server;
  }

  async stop(): Promise<void> {
    const { server } = this;
    this.server = null;
    if (server) await new Promise<void>((resolve) => server.close(resolve));
  }

  to(address: string): ParsedMail[] {
    return this.mails.filter((mail) => [mail.to ?? []].flat().some((to) => to.text === address));
  }
}

/** A user with a guard whose outbox holds his registration and `events` more events. */
export async function addUser(audit: AuditUnderTest, o: { events?: number; email?: string } = {}): Promise<string> {
  const userId = randomUUID();
  await audit.guard.create(userId, { faceRequired: false, event: { eventId: randomUUID(), type: 'registered' } });
  for (let i = 0; i < (o.events ?? 0); i++) {
    await audit.guard.appendEvent(userId, {
      eventId: randomUUID(),
      type: 'login_ok',
      sessionId: randomUUID(),
      deviceModel: 'Pixel 9 canary',
      ipAddress: '192.0.2.77',
    });
  }
  await audit
    .collection<{ _id: string; email: string; sessionEpoch: number }>('users')
    .insertOne({ _id: userId, email: o.email ?? `${userId}@example.test`, sessionEpoch: 0 });
  return userId;
}

/** Puts something into an outbox past the guard's builder, which would not. */
export async function pushRaw(audit: AuditUnderTest, userId: string, ...entries: unknown[]): Promise<void> {
  await audit
    .collection<{ _id: string; outbox: unknown[]; hasOutbox: boolean }>('face_guards')
    .updateOne({ _id: userId }, { $push: { outbox: { $each: entries } }, $set: { hasOutbox: true } });
}

export async function eventually(check: () => void | Promise<void>, withinMs = 10_000): Promise<void> {
  const end = performance.now() + withinMs;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** `countersign audit …` as it is built, over that log: its exit code, and all that it printed. */
export function auditCommand(
  { app, config }: AuditUnderTest,
  args: readonly string[],
  env: Record<string, string> = {},
): { status: number | null; text: string } {
  const main = path.join(repositoryRoot(), 'dist/apps/cli/src/main.js');
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'audit', ...args], {
    encoding: 'utf8',
    env: {
      PATH: process.env.PATH,
      MONGODB_URI: config.MONGODB_URI,
      CHECKPOINT_VKEY: app.get(Checkpointer).signer.vkey,
      AUDIT_CHECKPOINT_FILE: config.AUDIT_CHECKPOINT_FILE,
      ...env,
    },
  });
  return { status, text: `${stdout}${stderr}` };
}
