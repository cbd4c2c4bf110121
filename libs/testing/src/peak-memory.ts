import { existsSync, readFileSync } from 'node:fs';

/**
 * Most memory that a process ever had resident, bytes; null where the system has no /proc. Not `maxRSS`, which begins
 * with what the parent held when it forked.
 */
export function peakMemoryBytes(pid = process.pid): number | null {
  const status = `/proc/${pid}/status`;
  if (!existsSync(status)) return null;
  return 1024 * Number(/VmHWM:\s*(\d+)/.exec(readFileSync(status, 'utf8'))?.[1]);
}
