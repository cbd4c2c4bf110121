import { type ExecFileException, execFile, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const LONG = 180_000;
/** What the "compiler" of these projects does: it makes a command of a source, and fails on what is no JavaScript. */
const COMPILER = `
const fs = require('node:fs');
fs.mkdirSync('dist/tools', { recursive: true });
const source = fs.readFileSync('tools/start.js', 'utf8');
fs.writeFileSync('dist/tools/start.js', source);
process.exit(source.includes('BROKEN') ? 1 : 0);
`;

/** A project with one dependency that the build needs and one that runs, in folders of its own; npm is the real one. */
describe('tools/run.mjs on a fresh clone', () => {
  let fresh: string;
  let root: string;
  beforeAll(() => {
    root = fs.mkdtempSync(path.join(os.tmpdir(), 'countersign-run-'));
    write('tools/run.mjs', fs.readFileSync(path.join(__dirname, 'run.mjs'), 'utf8'));
    write('tools/start.js', `console.log('started')`);
    const compiler = pack('typescript', { 'bin/tsc': COMPILER });
    const library = pack('some-library', { 'index.js': '' });
    write('package.json', {
      name: 'clone',
      version: '1.0.0',
      dependencies: { 'some-library': `file:${library}` },
      devDependencies: { typescript: `file:${compiler}` },
    });
    execFileSync('npm', ['install', '--package-lock-only', '--offline', '--no-audit'], {
      cwd: root,
      stdio: 'ignore',
      env: clean(),
    });
    fresh = root;
  }, LONG);
  beforeEach(() => {
    root = fs.mkdtempSync(path.join(os.tmpdir(), 'countersign-run-'));
    fs.cpSync(fresh, root, { recursive: true });
  });
  afterEach(() => fs.rmSync(root, { recursive: true, force: true }));
  afterAll(() => fs.rmSync(fresh, { recursive: true, force: true }));

  function write(file: string, content: string | object): void {
    const target = path.join(root, file);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.writeFileSync(target, typeof content === 'string' ? content : JSON.stringify(content));
  }

  function pack(name: string, files: Record<string, string>): string {
    write(`packages/${name}/package.json`, { name, version: '1.0.0' });
    for (const [file, text] of Object.entries(files)) write(`packages/${name}/${file}`, text);
    const cwd = path.join(root, 'packages', name);
    execFileSync('npm', ['pack', '--pack-destination', path.join(root, 'packages')], { cwd, stdio: 'ignore' });
    return `packages/${name}-1.0.0.tgz`;
  }

  const clean = (): NodeJS.ProcessEnv => ({ PATH: process.env.PATH, HOME: root, npm_config_update_notifier: 'false' });

  interface Ended {
    code: number;
    output: string;
  }
  function run(env: Record<string, string> = {}): Promise<Ended> {
    return new Promise((resolve) => {
      const done = (error: ExecFileException | null, stdout: string, stderr: string): void =>
        resolve({ code: error ? Number(error.code) : 0, output: stdout + stderr });
      execFile(process.execPath, ['tools/run.mjs', 'start'], { cwd: root, env: { ...clean(), ...env } }, done);
    });
  }

  it.each<Record<string, string>>([
    { NODE_ENV: 'production', npm_config_dry_run: 'true' },
    { npm_config_omit: 'dev', npm_config_only: 'production' },
  ])(
    'case 8: %j of the caller leaves nothing out that the build needs',
    async (env) => {
      expect(await run(env)).toMatchObject({ code: 0, output: expect.stringContaining('started') as string });
      expect((await run()).output).toMatch(/install dependencies: up to date\nbuild: up to date\n/);
    },
    LONG,
  );

  it(
    'case 8: what was taken out after it was stamped is installed again',
    async () => {
      await run();
      execFileSync('npm', ['prune', '--omit=dev', '--offline'], { cwd: root, stdio: 'ignore', env: clean() });
      expect(fs.existsSync(path.join(root, 'node_modules/typescript'))).toBe(false);
      write('tools/start.js', `console.log('started anew')`);
      expect(await run()).toMatchObject({ code: 0, output: expect.stringContaining('started anew') as string });
    },
    LONG,
  );

  it(
    'case 8: an npm that says yes and left a package out is not believed, nor stamped, and a rerun heals it',
    async () => {
      // What npm does with an optional package that cannot be fetched, and what a full disk may leave.
      write('npm.cjs', `
        const fs = require('node:fs');
        fs.mkdirSync('node_modules/some-library', { recursive: true });
        fs.writeFileSync('node_modules/some-library/package.json', '{"version": "1.0.0"}');
      `); // prettier-ignore
      const halfway = await run({ npm_execpath: path.join(root, 'npm.cjs') });
      expect(halfway).toMatchObject({
        code: 1,
        output: expect.stringContaining('left out typescript@1.0.0') as string,
      });
      expect(await run()).toMatchObject({ code: 0, output: expect.stringContaining('started') as string });
    },
    LONG,
  );

  it(
    'case 8: a lock file that does not fit is said at once, and nothing else is installed instead',
    async () => {
      const manifest = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as object;
      write('package.json', { ...manifest, dependencies: { 'another-library': '1.0.0' } });
      const { code, output } = await run();
      expect(code).toBe(1);
      expect(output).toMatch(/npm ci failed; run again when the reason above is gone/);
      expect(output).toMatch(/another-library/);
      expect(fs.existsSync(path.join(root, 'node_modules/.countersign-install'))).toBe(false);
    },
    LONG,
  );

  it(
    'case 8: what a failed build left behind does not pass for the build before it',
    async () => {
      await run();
      write('tools/start.js', `console.log('BROKEN')`);
      expect(await run()).toMatchObject({ code: 1, output: expect.stringContaining('the build failed') as string });
      // Back to what was stamped before: dist/ is of the broken sources.
      write('tools/start.js', `console.log('started')`);
      const { output } = await run();
      expect(output).toContain('started');
      expect(output).not.toContain('BROKEN');
    },
    LONG,
  );
});
