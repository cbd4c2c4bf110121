import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Cores this process may use: the CPU quota of its cgroup (v2, v1), which Node does not look at, or the machine's. */
export function usableCores(read: (file: string) => string = (file) => readFileSync(file, 'utf8')): number {
  const cores = availableParallelism();
  const quota = quotaV2(read) ?? quotaV1(read);
  return quota === null ? cores : Math.max(1, Math.min(cores, Math.floor(quota)));
}

function quotaV2(read: (file: string) => string): number | null {
  const [quota, period] = attempt(() => read('/sys/fs/cgroup/cpu.max').trim().split(' ')) ?? [];
  return ratio(quota, period);
}

function quotaV1(read: (file: string) => string): number | null {
  return ratio(
    attempt(() => read('/sys/fs/cgroup/cpu/cpu.cfs_quota_us')),
    attempt(() => read('/sys/fs/cgroup/cpu/cpu.cfs_period_us')),
  );
}

function ratio(quota: string | null | undefined, period: string | null | undefined): number | null {
  const value = Number(quota) / Number(period);
  return Number.isFinite(value) && value > 0 ? value : null;
}

function attempt<T>(f: () => T): T | null {
  try {
    return f();
  } catch {
    return null;
  }
}
