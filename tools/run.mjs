// The way in: `node tools/run.mjs COMMAND [ARGUMENTS]`, and what the npm scripts call. On a fresh clone it first installs
// the dependencies and builds; both leave a stamp behind only when they are done, so that Ctrl-C is healed by a rerun; what a stamp
// speaks of is looked at again each time.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import Module from 'node:module';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { clearInterval, setInterval, setTimeout } from 'node:timers';
import { fileURLToPath } from 'node:url';

const NODE_FLOOR = [20, 19];
const ROOT = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const INSTALLED = path.join(ROOT, 'node_modules/.countersign-install');
const BUILT = path.join(ROOT, 'dist/.countersign-build');
const LIBC = libcOfHere();
const SOURCES = [
  'apps',
  'libs',
  'tools',
  'bench',
  'test/faults',
  'test/compose',
  'test/containers',
  'test/images',
  'test/install',
  'examples',
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'package-lock.json',
];

/** `tolerant`: type errors are reported by the command itself. `quiet`: no line for a stage with nothing to do. */
const COMMANDS = {
  start: { file: 'dist/tools/start.js', what: 'the whole service on this machine, with data in .countersign/' },
  demo: { file: 'dist/tools/demo/main.js', what: 'the main job on recorded faces, from registration to erasure' },
  test: { file: 'dist/tools/test.js', what: 'the gate and all tests', tolerant: true },
  jest: { file: 'dist/tools/test.js', first: ['--jest'], what: 'tests only: jest -- JEST-ARGUMENTS', tolerant: true },
  check: { file: 'dist/tools/check.js', what: 'format, lint, types, import borders, dead code', tolerant: true },
  attacks: {
    file: 'dist/tools/attacks/main.js',
    what: 'attacks played against the judgement: writes docs/attacks.md',
    quiet: true,
  },
  eval: { file: 'dist/tools/eval/main.js', what: 'accuracy on your own data', quiet: true },
  countersign: {
    file: 'dist/apps/cli/src/main.js',
    what: "the operator's command line: countersign audit verify, and more",
    quiet: true,
    running: 'if any',
  },
  nightly: { file: 'dist/tools/nightly.js', what: 'tests too long for npm test: writes docs/nightly.md' },
  faults: { file: 'dist/test/faults/main.js', what: 'causes faults, counts what was lost: faults -- --list' },
  'test-images': {
    file: 'dist/test/images/main.js',
    what: 'builds the images, looks into them and starts them: writes docs/images.md',
  },
  'test-install': {
    file: 'dist/test/install/main.js',
    what: 'fresh clones: npm ci by npm 10 and 11, npm start under NODE_ENV=production, the demo in a home of its own',
  },
  'test-compose': {
    file: 'dist/test/containers/compose-main.js',
    what: 'runs docker-compose.yml as README has it, and what happens to an operator: writes docs/composition.md',
  },
  bench: {
    file: 'dist/bench/main.js',
    what: 'measurements: bench attempt, audit, guard, hostile, inference, judge, pictures',
    quiet: true,
  },
  mutations: {
    file: 'dist/tools/mutations/main.js',
    what: 'breaks each condition of the guard: do the tests notice?',
    quiet: true,
  },
  example: {
    file: 'dist/examples/relying-app/main.js',
    what: 'an application that asks for a fresh face before it moves money',
    quiet: true,
  },
  'client-build': { file: 'dist/tools/client/build.js', what: 'makes the types of libs/client', tolerant: true },
  'docs-build': { file: 'dist/tools/docs/build.js', what: 'writes the documents that are made from the code' },
  'models-build': { file: 'dist/tools/models/build.js', what: 'makes models/ from its sources' },
  'kernels-build': { file: 'dist/tools/kernels/build.js', what: 'compiles the kernels of the pipeline' },
  'models-verify': { file: 'dist/tools/models/verify.js', what: 'compares models/ with its manifest' },
  'media-build': { file: 'dist/tools/media/build.js', what: 'makes test/media/ from its sources' },
};

function usage() {
  const lines = Object.entries(COMMANDS).map(([name, { what }]) => `  ${name.padEnd(14)} ${what}`);
  return `node tools/run.mjs COMMAND [ARGUMENTS]   (COMMAND --help says more)\n\n${lines.join('\n')}`;
}

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(1);
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NODE_FLOOR[0] || (major === NODE_FLOOR[0] && minor >= NODE_FLOOR[1])) return;
  fail(`Node ${NODE_FLOOR.join('.')} or later is needed; this is ${process.versions.node}`);
}

async function stage(name, quiet, stampFile, stamp, work, isWhole) {
  const from = performance.now();
  const isDone = read(stampFile) === stamp && isWhole();
  if (!isDone) {
    // The work changes what the old stamp spoke of, done or not.
    fs.rmSync(stampFile, { force: true });
    console.error(`${name} …`);
    const seconds = () => Math.round((performance.now() - from) / 1000);
    const beat = setInterval(() => console.error(`${name} … ${seconds()} s`), 10_000);
    const complete = await work();
    clearInterval(beat);
    fs.mkdirSync(path.dirname(stampFile), { recursive: true });
    if (complete) fs.writeFileSync(stampFile, stamp);
  }
  const took = `${((performance.now() - from) / 1000).toFixed(1)} s`;
  if (!isDone || !quiet) console.error(`${name}: ${isDone ? 'up to date' : took}`);
}

/**
 * What the build and the commands need, whatever the caller's own npm settings leave out: with `NODE_ENV=production` or
 * `npm_config_omit` the compiler would be missing.
 */
const WHOLE = ['--include=dev', '--include=optional', '--include=peer', '--dry-run=false', '--package-lock-only=false'];

async function install() {
  // The npm that started us, if one did: the one on PATH may be another.
  const npm = process.env.npm_execpath;
  const [command, args] = npm && /\.c?js$/.test(npm) ? [process.execPath, [npm]] : ['npm', []];
  const { code, output } = await run(command, [...args, 'ci', ...WHOLE, '--global=false', '--loglevel=error']);
  if (code !== 0) fail(`${output.trim()}\nnpm ci failed; run again when the reason above is gone`);
  // npm counts an optional package that it could not fetch as a success; the packages with native code are such.
  const missing = missingPackages();
  if (missing.length)
    fail(`npm ci left out ${list(missing)}; is the registry reached, and is it complete? Run again when it is`);
  return true;
}

/** Packages of the lock file that belong on this system, and are not there in the version that is locked. */
function missingPackages() {
  const { packages } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8'));
  return Object.entries(packages)
    .filter(([folder, entry]) => folder !== '' && isForHere(entry) && installedVersion(folder) !== entry.version)
    .map(([folder, { version }]) => `${folder.slice(folder.lastIndexOf('node_modules/') + 13)}@${version}`);
}

/** What an optional package without a system of its own is needed by is seldom for this system: it does not decide. */
const isForHere = ({ optional, os, cpu, libc }) =>
  !optional || (os !== undefined && matches(os, process.platform) && matches(cpu, process.arch) && matches(libc, LIBC));

function matches(names, own) {
  if (names === undefined || names.includes(own)) return true;
  return names.some((name) => name.startsWith('!')) && !names.includes(`!${own}`);
}

function installedVersion(folder) {
  const file = read(path.join(ROOT, folder, 'package.json'));
  try {
    return file && JSON.parse(file).version;
  } catch {
    return undefined; // cut off halfway
  }
}

const list = (names) => `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;

function libcOfHere() {
  if (process.platform !== 'linux') return undefined;
  process.report.excludeNetwork = true; // else it looks up names
  return process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl';
}

async function build(tolerant) {
  const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
  const { code, output } = await run(process.execPath, [tsc, '-p', 'tsconfig.build.json']);
  if (code === 0) return true;
  if (!tolerant) fail(`${output.trim()}\nthe build failed`);
  console.error('the build has type errors (npm run check lists them); going on with what was built');
  return false;
}

/** Runs a stage's program. A signal to us goes to it, and ends us when it has ended. */
function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    let ended = false;
    const end = (signal) => {
      ended = true;
      child.kill(signal);
      // npm takes back what it has installed, which may last a minute; the next run clears up anyway.
      setTimeout(() => child.kill('SIGKILL'), 1000).unref();
    };
    for (const signal of signals) process.on(signal, end);
    child.on('error', (error) => fail(`${command}: ${error.message}`));
    child.on('close', (code) => {
      for (const signal of signals) process.removeAllListeners(signal);
      if (ended) process.exit(130);
      resolve({ code, output });
    });
  });
}

function hashOf(entries) {
  const hash = createHash('sha256').update(process.versions.node.split('.')[0]);
  const add = (file) => {
    if (path.basename(file) === 'node_modules') return;
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    if (stat?.isDirectory()) for (const name of fs.readdirSync(file).sort()) add(path.join(file, name));
    else if (stat)
      hash
        .update(`${path.relative(ROOT, file)}\0`)
        .update(fs.readFileSync(file))
        .update('\0');
  };
  for (const entry of entries) add(path.join(ROOT, entry));
  return hash.digest('hex');
}

function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** What the running `npm start` wrote down: its database and its keys. `if any`: what is set goes before it. */
function useRun(running) {
  const note = read(path.join(ROOT, '.countersign/run.json'));
  if (note === undefined && running !== 'if any') fail('nothing runs here: "npm start" first, in another terminal');
  const { env = {}, operator = {} } = note === undefined ? {} : JSON.parse(note);
  if (running !== 'if any') Object.assign(process.env, env);
  else for (const [name, value] of Object.entries({ ...env, ...operator })) process.env[name] ||= value;
}

async function main() {
  const [name, ...args] = process.argv.slice(2);
  if (name === undefined || name === '--help' || name === '-h') {
    console.log(usage());
    process.exit(name === undefined ? 2 : 0);
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : fail(`no command "${name}"\n\n${usage()}`);
  checkNode();
  const file = path.join(ROOT, command.file);
  const isInstalled = () => missingPackages().length === 0;
  await stage('install dependencies', command.quiet, INSTALLED, lockHash(), install, isInstalled);
  const isBuilt = () => fs.existsSync(file);
  await stage('build', command.quiet, BUILT, hashOf(SOURCES), () => build(command.tolerant), isBuilt);
  if (command.running && !args.includes('--help')) useRun(command.running);
  // In this very process: signals and exit codes need no forwarding, and nothing is left if it is killed.
  if (!fs.existsSync(file)) fail(`${command.file} does not exist`);
  process.argv = [process.execPath, file, ...(command.first ?? []), ...args];
  Module.runMain();
}

const lockHash = () =>
  createHash('sha256')
    .update(`${process.platform} ${process.arch} ${LIBC}\0`)
    .update(fs.readFileSync(path.join(ROOT, 'package-lock.json')))
    .digest('hex');

await main();
