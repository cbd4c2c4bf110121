import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { env, parseEnv } from '#config';
import { CommandError, type CommandGroup, type Io } from '../command.js';
import { newSecrets, type Secrets } from './secrets.js';

/** The group that our images run as, and that the servers beside them are given besides their own. */
const GROUP = 10_001;
/** The owner writes, the group reads, nobody else does anything. */
const FILE_MODE = 0o640;
const FOLDER_MODE = 0o750;

interface Options {
  dir: string;
  group: string;
  json?: boolean;
}

export const initCommands: CommandGroup = (program, io) => {
  program
    .command('init')
    .description('makes every key, certificate and password of a new installation, a folder for each service')
    .addHelpText(
      'after',
      '\nReads PUBLIC_URL for the name in the certificate of the proxy, which a browser does not trust: put your own in its\nplace. Refuses a folder that holds anything. What it writes is read by its group and by nobody else.',
    )
    .requiredOption('--dir <folder>', 'where to; empty, or not there')
    .option('--group <gid>', 'the group that may read', String(GROUP))
    .option('--json', 'print one JSON object')
    .action((o: Options) => init(o, io));
};

async function init(o: Options, io: Io): Promise<void> {
  const gid = groupOf(o.group);
  const dir = path.resolve(o.dir);
  if (namesIn(dir).length > 0) {
    throw new CommandError(`${dir} is not empty: keys that are in use must not be lost; give another folder`);
  }
  const { PUBLIC_URL } = parseEnv(z.object({ PUBLIC_URL: env.publicUrl.default('http://localhost:8080') }));
  const files = write(dir, gid, await newSecrets(new URL(PUBLIC_URL).hostname));
  if (o.json) return io.out(JSON.stringify({ dir, group: gid, files }));
  for (const file of files) io.out(path.join(o.dir, file));
}

/** Only root, and who is in a group, may give files to it. Found out before anything is made. */
function groupOf(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new CommandError('--group must be the number of a group');
  const gid = Number(text);
  const mine = [process.getgid?.(), ...(process.getgroups?.() ?? [])];
  if (process.getuid?.() === 0 || mine.includes(gid)) return gid;
  throw new CommandError(`files cannot be given to group ${gid}: run this as root or in that group, or give --group`);
}

function namesIn(dir: string): string[] {
  try {
    return fs.readdirSync(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new CommandError(`${dir} cannot be read as a folder`);
  }
}

/** All of it or nothing: half a set would be refused the next time, and start nothing. */
function write(dir: string, gid: number, secrets: Secrets): string[] {
  const files: string[] = [];
  try {
    makeFolder(dir, gid);
    for (const [service, contents] of Object.entries(secrets)) {
      makeFolder(path.join(dir, service), gid);
      for (const [name, content] of Object.entries(contents)) {
        const file = path.join(service, name);
        const handle = fs.openSync(path.join(dir, file), 'wx', 0o600);
        try {
          fs.writeFileSync(handle, content);
          fs.fchownSync(handle, -1, gid);
          // Not by the mode above: the caller's umask takes from that one.
          fs.fchmodSync(handle, FILE_MODE);
        } finally {
          fs.closeSync(handle);
        }
        files.push(file);
      }
    }
    return files;
  } catch (error) {
    for (const service of Object.keys(secrets)) fs.rmSync(path.join(dir, service), { recursive: true, force: true });
    const why = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new CommandError(`${dir} cannot be written (${why}): nothing of it was kept`);
  }
}

function makeFolder(dir: string, gid: number): void {
  // Not `recursive`: where the kernel says ENOENT for ever (/proc), Node would try for ever.
  if (!fs.existsSync(dir)) fs.mkdirSync(dir, { mode: 0o700 });
  fs.chownSync(dir, -1, gid);
  fs.chmodSync(dir, FOLDER_MODE);
}
