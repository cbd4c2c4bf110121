import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { parseArgs } from 'node:util';
import {
  type AppName,
  type Apps,
  type Lock,
  operatorEnvironment,
  repositoryRoot,
  type Services,
  startApps,
  startServices,
  tryLock,
} from '#stack';

const HELP = `npm start [-- --port N] [-- --fsync]

Starts Redis, MongoDB, a mail catcher and the three processes, and stays up until Ctrl-C. Data, keys, mails and logs
are kept in .countersign/; delete that folder to start anew.

  --port N   the gateway's port (default 3000, or the next free one)
  --fsync    the database syncs every write to disk
  --help     this text

While it runs: "r inference" and Enter (or gateway, audit) starts that process again, dead or alive; "q" ends all.
One that dies is started again by itself, later each time if it does not stay up.
Given by the environment, these are used and not started: REDIS_URL, REDIS_BLOB_URL, MONGODB_URI, SMTP_URL.`;

const APPS: readonly AppName[] = ['gateway', 'inference', 'audit'];
const say = (line: string): void => console.log(line);

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { port: { type: 'string' }, fsync: { type: 'boolean' }, help: { type: 'boolean' } },
  });
  if (values.help) {
    say(HELP);
    return 0;
  }
  const dir = path.join(repositoryRoot(), '.countersign');
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  const lock = await tryLock(path.join(dir, 'lock'));
  if (!lock) throw new Error('npm start runs in this folder already; end that one first');
  return run(dir, lock, { gatewayPort: port(values.port), fsync: values.fsync ?? false });
}

async function run(dir: string, lock: Lock, o: { gatewayPort?: number; fsync: boolean }): Promise<number> {
  const asked = endAsked();
  const runFile = path.join(dir, 'run.json');
  fs.rmSync(runFile, { force: true }); // of a run that was killed
  let services: Services | undefined;
  let apps: Apps | undefined;
  try {
    services = await asked.orElse(startServices({ dir, ephemeral: false, log: say, fsync: o.fsync, restart: true }));
    apps = await asked.orElse(
      startApps(services, { dir, log: say, gatewayPort: o.gatewayPort, migrate: true, restart: true }),
    );
    const note = {
      pid: process.pid,
      gatewayUrl: apps.gatewayUrl,
      mailDir: services.mailDir,
      env: apps.env('gateway'),
      operator: operatorEnvironment(apps.env('audit')),
    };
    fs.writeFileSync(runFile, JSON.stringify(note, null, 2), { mode: 0o600 });
    say(`\nCountersign is up at ${apps.gatewayUrl} – mails in ${services.mailDir}, logs in ${path.join(dir, 'logs')}`);
    say('Ctrl-C ends it; "r inference" and Enter starts that process again (or gateway, audit).\n');
    obey(apps, asked.end);
    await asked.ended;
    return 0;
  } catch (error) {
    if (error instanceof Ended) return 0;
    throw error;
  } finally {
    say('stopping');
    fs.rmSync(runFile, { force: true });
    await apps?.stop();
    await services?.stop();
    await lock.release();
  }
}

class Ended extends Error {}

/** The wish to end: it also cuts short what is still starting, whose processes die with ours. */
function endAsked() {
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end);
  const cut = ended.then(() => Promise.reject(new Ended()));
  cut.catch(() => undefined);
  return { ended, end, orElse: <T>(work: Promise<T>): Promise<T> => Promise.race([work, cut]) };
}

function obey(apps: Apps, end: () => void): void {
  const input = readline.createInterface({ input: process.stdin });
  input.on('line', (line) => {
    const [word, name] = line.trim().split(/\s+/);
    const app = APPS.find((known) => known === name);
    if (word === 'q') end();
    else if (word === 'r' && app) void restart(apps, app);
    else if (word) say('r gateway | r inference | r audit | q');
  });
}

async function restart(apps: Apps, app: AppName): Promise<void> {
  try {
    if (apps.pids()[app]) await apps.kill(app, 'SIGTERM');
    await apps.start(app);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  }
}

function port(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1 || number > 65_535) throw new Error('--port must be from 1 to 65535');
  return number;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(1);
  },
);
