import fs from 'node:fs';
import path from 'node:path';
import { provide } from './debian/index.js';
import { findSource } from './debian/source.js';
import { cacheFolder, temporaryFolder } from './folders.js';
import { type Log } from './shell.js';

/** A wall clock of one's own for some processes, moved while they run. Their timers keep the machine's time. */
export interface Clock {
  /** `+10m`, `-1h`, `+30`: from the machine's time. */
  set(offset: string): void;
  /** The program under this clock; one that is run through a loader of its own keeps it. */
  wrap(command: string, args: string[]): [string, string[]];
  env: Record<string, string>;
  remove(): void;
}

/** libfaketime of Debian's packages; undefined where there are none. */
export async function movableClock(env: NodeJS.ProcessEnv, log: Log): Promise<Clock | undefined> {
  const source = findSource(env);
  if (typeof source === 'string') return undefined;
  const set = { name: 'faketime', title: 'libfaketime', packages: ['libfaketime'] };
  const { root } = await provide(set, cacheFolder(env), source, env, log);
  const libraries = `${root}/usr/lib/${source.triplet}`;
  const preload = ['--preload', `${libraries}/faketime/libfaketime.so.1`];
  const dir = temporaryFolder('clock');
  // PostgreSQL's user reads it, too.
  fs.chmodSync(dir, 0o755);
  const file = path.join(dir, 'offset');
  // Renamed into place: a process that reads half of it ends.
  const move = (offset: string): void => {
    fs.writeFileSync(`${file}.new`, `${offset}\n`, { mode: 0o644 });
    fs.renameSync(`${file}.new`, file);
  };
  move('+0');
  return {
    set: move,
    wrap: (command, args) =>
      /\/ld-linux[^/]*$/.test(command)
        ? [command, [...preload, ...args]]
        : // The library needs the C library it came with; what else a program of this machine needs is this machine's.
          [
            `${libraries}/${source.loader}`,
            [...preload, '--library-path', `${libraries}:/usr/lib/${source.triplet}`, command, ...args],
          ],
    env: { FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1', DONT_FAKE_MONOTONIC: '1' },
    remove: () => fs.rmSync(dir, { recursive: true, force: true }),
  };
}
