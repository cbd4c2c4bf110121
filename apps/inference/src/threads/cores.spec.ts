import { availableParallelism } from 'node:os';
import { usableCores } from './cores.js';

const files =
  (content: Record<string, string>) =>
  (file: string): string => {
    const found = content[file];
    if (found === undefined) throw new Error('ENOENT');
    return found;
  };

describe('usable cores', () => {
  it('are those of the quota, at least one, at most the machine’s', () => {
    expect(usableCores(files({ '/sys/fs/cgroup/cpu.max': '50000 100000\n' }))).toBe(1);
    expect(usableCores(files({ '/sys/fs/cgroup/cpu.max': '6400000 100000\n' }))).toBe(Math.min(64, availableParallelism())); // prettier-ignore
    expect(
      usableCores(
        files({ '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '100000', '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000' }),
      ),
    ).toBe(1);
  });

  it('are the machine’s without a quota', () => {
    const machine = availableParallelism();
    expect(usableCores(files({ '/sys/fs/cgroup/cpu.max': 'max 100000\n' }))).toBe(machine);
    expect(usableCores(files({ '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1', '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000' }))).toBe(machine); // prettier-ignore
    expect(usableCores(files({}))).toBe(machine);
  });
});
