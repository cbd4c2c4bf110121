import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { isAlive } from './lock.js';

export interface User {
  uid: number;
  gid: number;
}

/** The repository's root: both `tools/stack/src` (tests) and `dist/tools/stack/src` have its package.json above them. */
export function repositoryRoot(): string {
  let at = __dirname;
  while (!fs.existsSync(path.join(at, 'package.json'))) at = path.dirname(at);
  return at;
}

/** Whom root lends a server to that refuses to run as root (PostgreSQL); undefined for everybody else. */
export function unprivilegedUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const entry = fs
    .readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === 'nobody');
  if (!entry) throw new Error('started as root, and there is no user `nobody` in /etc/passwd to run PostgreSQL as');
  return { uid: Number(entry[2]), gid: Number(entry[3]) };
}

/** Whether `user` can enter `dir`; asked of the kernel, since any folder above may be closed as well. */
export function canEnter(dir: string, user: User | undefined): boolean {
  return !user || spawnSync('test', ['-x', dir], { ...user }).status === 0;
}

/**
 * Where downloads and unpacked servers are kept, once per machine and user. COUNTERSIGN_CACHE_DIR overrides it. Root's
 * place is one that `nobody` can read too.
 */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const user = unprivilegedUser();
  if (env.COUNTERSIGN_CACHE_DIR) {
    const asked = prepare(path.resolve(env.COUNTERSIGN_CACHE_DIR));
    if (canEnter(asked, user)) return asked;
    throw new Error(
      `COUNTERSIGN_CACHE_DIR: started as root, and user nobody cannot enter ${asked}; choose another folder`,
    );
  }
  const xdg = env.XDG_CACHE_HOME && path.join(env.XDG_CACHE_HOME, 'countersign');
  if (!user) return prepare(xdg || path.join(homeFolder(), '.cache', 'countersign'));
  if (xdg && canEnter(prepare(xdg), user)) return xdg;
  return prepare('/var/cache/countersign');
}

/** A user without a line in /etc/passwd, as containers have them, has none unless HOME is set. */
function homeFolder(): string {
  try {
    return os.homedir();
  } catch (cause) {
    throw new Error('this user has no home folder: set COUNTERSIGN_CACHE_DIR to a folder of its own', { cause });
  }
}

function prepare(dir: string): string {
  try {
    fs.mkdirSync(dir, { recursive: true });
  } catch (cause) {
    throw new Error(`${dir} cannot be made: set COUNTERSIGN_CACHE_DIR to a folder that this user can write to`, {
      cause,
    });
  }
  const { uid, mode } = fs.statSync(dir);
  const me = process.getuid?.() ?? uid;
  // Programs are run from here: a folder others can write to would let them run theirs as us.
  if ((uid !== me && uid !== 0) || mode & 0o022) {
    throw new Error(
      `${dir} belongs to somebody else or can be written by others; remove it or set COUNTERSIGN_CACHE_DIR`,
    );
  }
  if (me === 0) fs.chmodSync(dir, 0o755);
  if (/[:;'"\n]/.test(dir))
    throw new Error(`the cache folder must not have a colon, semicolon or quote in its path: ${dir}`);
  return dir;
}

/** A new private folder for one run, whose owner is written down so that a later run can clear up after a SIGKILL. */
export function temporaryFolder(purpose: string, owner?: User): string {
  sweepTemporaryFolders();
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), `countersign-${purpose}-${process.pid}-`));
  if (owner) fs.chownSync(dir, owner.uid, owner.gid);
  return dir;
}

function sweepTemporaryFolders(): void {
  const me = process.getuid?.();
  for (const name of fs.readdirSync(os.tmpdir())) {
    const pid = Number(/^countersign-[a-z0-9-]+-(\d+)-/.exec(name)?.[1]);
    const dir = path.join(os.tmpdir(), name);
    if (!pid || isAlive(pid)) continue;
    const uid = fs.lstatSync(dir, { throwIfNoEntry: false })?.uid;
    if (me !== 0 && uid !== me) continue;
    try {
      fs.rmSync(dir, { recursive: true, force: true });
    } catch {
      // Something is still mounted or open in there: what another run left behind must not stop this one.
    }
  }
}

/**
 * Where a server that runs as `user` keeps the data of the stack in `dir`. Usually inside `dir`; if root's clone lies
 * where `user` cannot go, outside, with a note in `dir`: without the note (a clean clone) or with the note of another
 * folder (a copied clone) a new place is made, so that two stacks never share data.
 */
export function dataFolderFor(dir: string, name: string, user: User | undefined, ephemeral: boolean): string {
  const inside = path.join(dir, name);
  fs.mkdirSync(dir, { recursive: true, mode: user ? 0o711 : 0o700 });
  if (canEnter(dir, user)) {
    fs.mkdirSync(inside, { recursive: true, mode: 0o700 });
    if (user) fs.chownSync(inside, user.uid, user.gid);
    return inside;
  }
  if (ephemeral) return temporaryFolder(name, user);
  const note = path.join(dir, `${name}-folder.json`);
  const known = readNote(note);
  if (known?.of === dir && fs.existsSync(known.folder)) return known.folder;
  fs.mkdirSync('/var/lib/countersign', { recursive: true, mode: 0o755 });
  const outside = `/var/lib/countersign/${name}-${randomBytes(6).toString('hex')}`;
  fs.mkdirSync(outside, { mode: 0o700 });
  fs.chownSync(outside, user?.uid ?? 0, user?.gid ?? 0);
  fs.writeFileSync(note, JSON.stringify({ of: dir, folder: outside }), { mode: 0o600 });
  return outside;
}

function readNote(file: string): { of: string; folder: string } | undefined {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8')) as { of: string; folder: string };
  } catch {
    return undefined;
  }
}
