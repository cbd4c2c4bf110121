import { rmSync } from 'node:fs';
import { type Apps, servicesOfTestRun, startApps, temporaryFolder } from '#stack';
import { claimRedisDatabase } from '../redis-database.js';

/** Real: the three processes as `npm start` starts them, from the built output, and a SIGKILL. */

jest.setTimeout(240_000);

it('13.1: a worker that is killed is started again by itself, and takes jobs again', async () => {
  const dir = temporaryFolder('restart');
  const lines: string[] = [];
  let apps: Apps | undefined;
  try {
    apps = await startApps(servicesOfTestRun(), {
      dir,
      log: (line) => lines.push(line),
      gatewayPort: 0,
      database: 'worker_restart',
      redisDatabase: await claimRedisDatabase(),
      inferenceThreads: 1,
      restart: true,
    });
    const { gatewayUrl } = apps;
    const degraded = async (): Promise<unknown> => {
      const answer = (await (await fetch(`${gatewayUrl}/health/ready`)).json()) as { degraded?: unknown };
      return answer.degraded;
    };
    await until(async () => JSON.stringify(await degraded()) === '[]');

    const dead = apps.pids().inference;
    process.kill(dead, 'SIGKILL');
    await until(async () => JSON.stringify(await degraded()) === '["no_workers"]');
    await until(async () => JSON.stringify(await degraded()) === '[]');
    expect(apps.pids().inference).not.toBe(dead);
    const readies = (): number => lines.filter((line) => line.startsWith('inference: ready after')).length;
    await until(() => Promise.resolve(readies() === 2));
    expect(lines.filter((line) => line.startsWith('inference')).map((line) => line.split('\n', 1)[0])).toEqual([
      expect.stringContaining('inference: ready after'),
      expect.stringContaining('inference was killed by SIGKILL'),
      'inference: starts again in 1 s',
      expect.stringContaining('inference: ready after'),
    ]);

    // Ended on purpose, it stays so.
    await apps.kill('audit', 'SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(apps.pids().audit).toBe(0);
  } finally {
    await apps?.stop();
    rmSync(dir, { recursive: true, force: true });
  }
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 90_000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error('did not happen within 90 s');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
