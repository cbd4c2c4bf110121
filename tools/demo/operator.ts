import { spawn } from 'node:child_process';
import path from 'node:path';
import { createConnection } from 'mongoose';
import { ManagedProcess, repositoryRoot } from '#stack';
import type { Operator } from './people.js';

const HOUR_MS = 3_600_000;
const READY_MS = 20_000;

/** The operator of a running service. `env`: the gateway's, which is what the command line needs. */
export function openOperator(o: { env: Record<string, string>; gatewayUrl: string; logFile: string }): Operator & {
  stop(): Promise<void>;
} {
  const apps: ManagedProcess[] = [];
  const run: Operator['run'] = (args, input = '') => command(o.env, args, input);
  return {
    run,
    startRelyingApp: async (transferMaxAge) => {
      const made = await run(['client', 'create', 'bank', '--scope', 'introspect', '--json']);
      const { clientId, secret } = JSON.parse(made) as { clientId: string; secret: string };
      const app = new ManagedProcess({
        name: 'relying-app',
        command: process.execPath,
        args: [path.join(repositoryRoot(), 'dist/examples/relying-app/main.js'), '--port', '0'],
        env: {
          PATH: o.env.PATH,
          COUNTERSIGN_URL: o.gatewayUrl,
          COUNTERSIGN_CLIENT_ID: clientId,
          COUNTERSIGN_CLIENT_SECRET: secret,
          TRANSFER_MAX_AGE: String(transferMaxAge),
        },
        logFile: o.logFile,
      });
      apps.push(app);
      await app.start();
      let address: string | undefined;
      await app.waitUntil(async () => {
        address = /application at (http:\S+),/.exec(app.lines.join('\n'))?.[1];
        return address !== undefined;
      }, READY_MS);
      return { address: address ?? '', clientId };
    },
    putFaceBack: (userId, hours) => putFaceBack(o.env.MONGODB_URI ?? '', userId, hours * HOUR_MS),
    putOfficeBack: (email, days) => putOfficeBack(o.env.MONGODB_URI ?? '', email, days * 24 * HOUR_MS),
    stop: async () => {
      for (const app of apps.splice(0)) await app.stop();
    },
  };
}

function command(env: Record<string, string>, args: readonly string[], input: string): Promise<string> {
  const main = path.join(repositoryRoot(), 'dist/apps/cli/src/main.js');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], { env });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(stdout) : reject(new Error(`${args.join(' ')}: ${stderr}`))));
    child.stdin.on('error', () => undefined).end(input);
  });
}

/** What the guard and the reminders tell a face's age by, moved together; the guard's own clock stays the database's. */
async function putFaceBack(mongoUri: string, userId: string, ms: number): Promise<void> {
  const connection = await createConnection(mongoUri, { autoIndex: false, autoCreate: false }).asPromise();
  try {
    const back = (date: string) => ({ $subtract: [`$${date}`, ms] });
    const moved = await connection.collection<{ _id: string }>('face_guards').updateOne({ _id: userId }, [
      {
        $set: {
          'template.enrolledAt': back('template.enrolledAt'),
          'template.heldUntil': { $cond: ['$template.heldUntil', back('template.heldUntil'), null] },
          firstEnrolledAt: back('firstEnrolledAt'),
        },
      },
    ]);
    if (moved.modifiedCount !== 1) throw new Error('no face to put back');
    await connection
      .collection('face_templates')
      .updateMany({ userId }, [
        { $set: { createdAt: back('createdAt') } },
        { $set: { createdDay: { $dateToString: { date: '$createdAt', format: '%Y-%m-%d' } } } },
      ]);
  } finally {
    await connection.close();
  }
}

async function putOfficeBack(mongoUri: string, email: string, ms: number): Promise<void> {
  const connection = await createConnection(mongoUri, { autoIndex: false, autoCreate: false }).asPromise();
  try {
    const adminSince = { $subtract: ['$adminSince', ms] };
    const moved = await connection.collection('users').updateOne({ email }, [{ $set: { adminSince } }]);
    if (moved.modifiedCount !== 1) throw new Error('no administrator to put back');
  } finally {
    await connection.close();
  }
}
