import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isAlive } from '#stack';

/** What is to be undone however a scenario ends, the last thing first. Each is undone once. */
export class Leftovers {
  private readonly undos: (() => unknown)[] = [];

  add(undo: () => unknown): void {
    this.undos.push(undo);
  }

  async clear(): Promise<void> {
    for (let undo = this.undos.pop(); undo; undo = this.undos.pop())
      try {
        await undo();
      } catch (error) {
        console.error('left behind:', error);
      }
  }
}

/** File systems that a run mounted which died of SIGKILL. Its processes died with it; a mount does not. */
export function unmountOfTheDead(): void {
  let mounts: string;
  try {
    mounts = readFileSync('/proc/mounts', 'utf8');
  } catch {
    return;
  }
  for (const [, dir = '', pid] of mounts.matchAll(/^\S+ (\S*\/countersign-faults-(\d+)-\S+) /gm))
    if (!isAlive(Number(pid))) spawnSync('umount', ['-l', dir]);
}
