import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from '#stack';
import { startWorld, type World } from './world.js';

describe('README', () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld({ name: 'readme' });
  }, 120_000);
  afterAll(() => world.stop());

  it('its session, typed as it stands, ends at pwd+face', () => {
    const readme = readFileSync(path.join(repositoryRoot(), 'README.md'), 'utf8');
    const session = /<!-- session:begin -->\n```sh\n([^]*?)```\n<!-- session:end -->/.exec(readme)?.[1];
    const run = spawnSync('bash', ['-euc', session ?? 'exit 1'], {
      cwd: repositoryRoot(),
      env: { ...process.env, B: world.apps.gatewayUrl },
      encoding: 'utf8',
      timeout: 120_000,
    });
    expect(run.stdout).toContain('{"status":"enrolled"}');
    expect(run.stdout).toContain('urn:countersign:pwd+face');
    expect(run.status).toBe(0);
  }, 130_000);
});
