// What a person meets who clones this repository: npm ci of each npm, npm start under production's settings, the demo in a
// home of its own. Everything is done in fresh clones of the commit, since a working tree has what a clone lacks.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { anyFreePort, cacheFolder, repositoryRoot, temporaryFolder } from '#stack';

const NPMS = ['10', '11'];
const COMMAND_MS = 15 * 60_000;
/** An install that is killed so early has written packages, and not all of them. */
const PARTIAL_INSTALL_MS = 5_000;
const PRODUCTION: Record<string, string>[] = [{ NODE_ENV: 'production' }, { npm_config_omit: 'dev' }];
/** Of the many settings that "npm run" hands on, those by which a registry is reached; others would decide for the clone. */
const NPM_SETTINGS_KEPT = /^npm_config_(registry|userconfig|globalconfig|cache|cafile|https?_proxy|noproxy)$/i;

const HELP = `npm run test:install -- [OPTIONS]

In fresh clones of the commit that is checked out: npm ci by npm 10 and 11, all and with --omit=dev; npm start with
NODE_ENV=production and with npm_config_omit=dev, the first after an install that was killed; the demo in a home of its
own, which must stay empty. What is not committed is not tested. About ten minutes; packages come from npm's registry.

  --npm 10,11   by these versions of npm only
  --help        this text

Exit 0: all as it should be. 1: something is not. 2: called wrongly.`;

const failures: string[] = [];
function row(what: string, isSo: boolean, found = ''): void {
  console.log(`${isSo ? 'ok ' : 'NO '} ${what}${isSo || !found ? '' : `:\n${found.trim().slice(-2000)}`}`);
  if (!isSo) failures.push(what);
}

function environment(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => name !== 'NODE_ENV' && (!/^npm_/i.test(name) || NPM_SETTINGS_KEPT.test(name)),
  );
  return { ...Object.fromEntries(kept), ...extra };
}

interface Ended {
  code: number | null;
  output: string;
}

/** A program in a process group of its own, so that its children end with it. */
class Program {
  output = '';
  private readonly child: ChildProcess;
  private readonly closed: Promise<unknown>;

  constructor(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv) {
    this.child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.child.stdout!, this.child.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    this.closed = once(this.child, 'close');
  }

  get code(): number | null {
    return this.child.exitCode;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  async ended(withinMs: number): Promise<Ended> {
    const late = new AbortController();
    const tooLong = sleep(withinMs, true, { signal: late.signal, ref: false }).catch(() => false);
    if (await Promise.race([this.closed.then(() => false), tooLong])) {
      this.output += `\nnot done after ${Math.round(withinMs / 1000)} s`;
      this.signal('SIGKILL');
      await this.closed;
    }
    late.abort();
    return { code: this.code, output: this.output };
  }

  signal(signal: NodeJS.Signals): void {
    if (this.isRunning && this.child.pid !== undefined) process.kill(-this.child.pid, signal);
  }
}

async function run(command: string, args: readonly string[], cwd: string, env = environment()): Promise<Ended> {
  return new Program(command, args, cwd, env).ended(COMMAND_MS);
}

async function must(command: string, args: readonly string[], cwd: string): Promise<string> {
  const { code, output } = await run(command, args, cwd);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${output}`);
  return output.trim();
}

class Workshop {
  private clones = 0;

  constructor(private readonly dir: string) {}

  async clone(): Promise<string> {
    const clone = path.join(this.dir, `clone-${(this.clones += 1)}`);
    await must('git', ['clone', '--quiet', repositoryRoot(), clone], this.dir);
    return clone;
  }

  /** The file that is npm, of that major version. */
  async npm(major: string): Promise<Npm> {
    const folder = path.join(this.dir, `npm-${major}`);
    const file = path.join(folder, 'node_modules/npm/bin/npm-cli.js');
    fs.mkdirSync(folder, { recursive: true });
    if (!fs.existsSync(file)) await must('npm', ['install', '--prefix', folder, '--no-save', `npm@${major}`], folder);
    return new Npm(file, await must(process.execPath, [file, '--version'], folder));
  }
}

class Npm {
  constructor(
    private readonly file: string,
    readonly version: string,
  ) {}

  start(args: readonly string[], clone: string, env = environment()): Program {
    return new Program(process.execPath, [this.file, ...args], clone, env);
  }

  run(args: readonly string[], clone: string, env?: NodeJS.ProcessEnv): Promise<Ended> {
    return this.start(args, clone, env).ended(COMMAND_MS);
  }
}

/** Each of these has code for one system, which comes by an optional package or within the package. */
const NATIVE = `
for (const name of ['sharp', '@node-rs/argon2', './node_modules/onnxruntime-node']) require(name);
console.log('all native code is there');`;

async function installs(workshop: Workshop, npm: Npm): Promise<void> {
  for (const omit of [[], ['--omit=dev']]) {
    const name = `npm ${npm.version}: npm ci ${omit.join(' ')}`.trim();
    const clone = await workshop.clone();
    const { code, output } = await npm.run(['ci', ...omit], clone);
    row(`${name} ends with 0`, code === 0, output);
    if (code === 0) {
      const listed = await npm.run(['ls', '--all', ...omit], clone);
      row(`${name} leaves no package out`, listed.code === 0, listed.output.replace(/^.*[├└│].*$\n/gm, ''));
      const hasCompiler = fs.existsSync(path.join(clone, 'node_modules/typescript'));
      row(`${name} ${omit.length ? 'leaves the tools out' : 'brings the tools'}`, hasCompiler === (omit.length === 0));
      const native = await run(process.execPath, ['-e', NATIVE], clone, environment({ ORT_DISABLE_TELEMETRY: '1' }));
      row(`${name} brings native code that loads`, native.output.includes('all native code is there'), native.output);
      const changed = await must('git', ['status', '--porcelain'], clone);
      row(`${name} changes no file of the clone`, changed === '', changed);
    }
    fs.rmSync(clone, { recursive: true, force: true });
  }
  await refusesWhatIsNotWhole(workshop, npm);
}

/** The control: a lock file without an entry that it names, which is what once went wrong, has to be refused. */
async function refusesWhatIsNotWhole(workshop: Workshop, npm: Npm): Promise<void> {
  const clone = await workshop.clone();
  const file = path.join(clone, 'package-lock.json');
  const lock = JSON.parse(fs.readFileSync(file, 'utf8')) as { packages: Record<string, unknown> };
  delete lock.packages['node_modules/zod'];
  fs.writeFileSync(file, JSON.stringify(lock, null, 2));
  const { code, output } = await npm.run(['ci'], clone);
  row(`npm ${npm.version}: npm ci refuses a lock file that lacks a package`, code !== 0 && /zod/.test(output), output);
  fs.rmSync(clone, { recursive: true, force: true });
}

/** `npm start` in a fresh clone, until the service answers and ends when it is told to. The clone stays as it is then. */
async function starts(
  workshop: Workshop,
  npm: Npm,
  extra: Record<string, string>,
  killFirst: boolean,
): Promise<string> {
  const settings = Object.entries(extra).map(([name, value]) => `${name}=${value}`);
  const name = `npm ${npm.version}: ${settings.join(' ')} npm start${killFirst ? ', after one that was killed' : ''}`;
  const clone = await workshop.clone();
  const env = environment(extra);
  const args = ['start', '--', '--port', String(await anyFreePort())];
  if (killFirst) {
    const killed = npm.start(args, clone, env);
    await sleep(PARTIAL_INSTALL_MS);
    killed.signal('SIGKILL');
    await killed.ended(COMMAND_MS);
    row(`${name}: no stamp is left`, !fs.existsSync(path.join(clone, 'node_modules/.countersign-install')));
  }
  const service = npm.start(args, clone, env);
  const from = performance.now();
  const url = (): string | undefined => /Countersign is up at (\S+)/.exec(service.output)?.[1];
  while (service.isRunning && url() === undefined && performance.now() - from < COMMAND_MS) await sleep(200);
  const ready = url() === undefined ? 0 : (await fetch(new URL('/health/ready', url()))).status;
  row(`${name} is up and ready`, ready === 200, service.output);
  // To the whole group, as a terminal does.
  service.signal('SIGINT');
  const { code, output } = await service.ended(60_000);
  // Of Ctrl-C npm itself dies by the signal; of what it has started there is one word, and no error after it.
  const hasEnded = code === 0 || code === 130 || code === null;
  row(`${name} ends when it is told to`, hasEnded && /\nstopping\s*$/.test(output), output);
  return clone;
}

/** With `CI` set the library that reports to its maker is quiet by itself, and the home would stay empty in any case. */
async function demoLeavesNothing(clone: string): Promise<void> {
  const { CI: _quiet, ORT_DISABLE_TELEMETRY: _off, XDG_CACHE_HOME: _cache, ...env } = environment();
  const home = fs.mkdtempSync(path.join(clone, 'home-'));
  // Servers come from where "npm start" has put them a moment ago.
  const own = { ...env, HOME: home, COUNTERSIGN_CACHE_DIR: cacheFolder() };
  const left = (): string[] => fs.readdirSync(home, { recursive: true, encoding: 'utf8' });

  const { code, output } = await run(process.execPath, ['tools/run.mjs', 'demo'], clone, own);
  row('the demo in a home of its own has every outcome that it must have', code === 0, output);
  row('the demo leaves no file in its home', left().length === 0, left().join('\n'));

  const model = JSON.stringify(path.join(clone, 'models/eye-state-24.onnx'));
  const load = `require('onnxruntime-node').InferenceSession.create(require('fs').readFileSync(${model})).then((s) => s.release())`;
  await run(process.execPath, ['-e', load], clone, own);
  row(
    'the runtime that nobody forbids it leaves files in that home',
    left().some((file) => /onnxruntime/.test(file)),
  );
}

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { npm: { type: 'string' }, help: { type: 'boolean' } },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const wanted = values.npm?.split(',') ?? NPMS;
  const unknown = wanted.find((version) => !NPMS.includes(version));
  if (unknown !== undefined) {
    console.error(`--npm ${unknown}: it is ${NPMS.join(' or ')}\n\n${HELP}`);
    return 2;
  }
  const dir = temporaryFolder('install');
  try {
    const changed = await must('git', ['status', '--porcelain', '--untracked-files=no'], repositoryRoot());
    if (changed) console.error('what is not committed is not tested');
    const workshop = new Workshop(dir);
    for (const version of wanted) await installs(workshop, await workshop.npm(version));
    let clone = '';
    for (const [index, extra] of PRODUCTION.entries()) {
      const npm = await workshop.npm(wanted[index % wanted.length]!);
      clone = await starts(workshop, npm, extra, index === 0);
    }
    await demoLeavesNothing(clone);
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
  console.log(failures.length === 0 ? 'all as it should be' : `${failures.length} not as they should be:\n  ${failures.join('\n  ')}`); // prettier-ignore
  return failures.length === 0 ? 0 : 1;
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(1);
  },
);
