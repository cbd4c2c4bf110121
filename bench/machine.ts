import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { repositoryRoot } from '#stack';

/** Where figures were taken: they mean nothing without. */
export function machine(): { cpu: string; cores: number; memoryGb: number; node: string; date: string } {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryGb: Math.round(os.totalmem() / 2 ** 30),
    node: process.versions.node,
    date: new Date().toISOString().slice(0, 10),
  };
}

export const machineLine = (): string => {
  const m = machine();
  return `${m.date}, ${m.cores} × ${m.cpu}, ${m.memoryGb} GB, Node ${m.node}, load ${os.loadavg()[0]!.toFixed(2)} at the start`;
};

/** Numbers of the cores this process may run on, or null where nothing can be bound to one (no `taskset`). */
export function bindableCores(): number[] | null {
  if (spawnSync('taskset', ['-c', '-p', String(process.pid)]).status !== 0) return null;
  const list = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [from = NaN, to = from] = range.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}

/** A command bound to some cores, as a container with a limit is; unbound where that is not possible. */
export const bound = (cores: readonly number[] | null, command: string, args: string[]): [string, string[]] =>
  cores ? ['taskset', ['-c', cores.join(','), command, ...args]] : [command, args];

const PAGE = `# Performance

Written by \`npm run -s bench -- NAME --markdown\`, a section a bench; not typed by hand. Milliseconds depend on the machine;
the ratios were taken in one run, the rows in turn, and move little. Spread is the lowest and the highest round.
`;

/** Puts a bench's section into docs/performance.md, in place of the one it wrote before. */
export function writeSection(name: string, lines: readonly string[]): string {
  const file = path.join(repositoryRoot(), 'docs/performance.md');
  const before = existsSync(file) ? readFileSync(file, 'utf8') : PAGE;
  const [begin, end] = [`<!-- bench:begin ${name} -->`, `<!-- bench:end ${name} -->`];
  const section = `${begin}\n\n${lines.join('\n').trim()}\n\n${end}\n`;
  const [from, to] = [before.indexOf(begin), before.indexOf(end)];
  const text =
    from < 0
      ? `${before.trimEnd()}\n\n${section}`
      : before.slice(0, from) + section + before.slice(to + end.length).replace(/^\n/, '');
  writeFileSync(file, text);
  return file;
}
