import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CAPTURE_LIMITS } from '#contracts';
import { type Apps, repositoryRoot, startApps, startServices } from '#stack';
import { type ApiClient, encodeStep, ordinaryPicture } from '#testing';
import { attempt, consentingUser, enrolledUser, Footage, PASSWORD } from './captures.js';
import { measured, type Report, say } from './command.js';
import { type Bar, barLines, Figures, isMet, table } from './figures.js';
import { type HostileAnswer, type HostileOptions, other, type Tally } from './hostile-account.js';
import { machine } from './machine.js';
import { type Bomb, dearestStep, photoOfFace } from './pictures.js';

const SLOW_UPLOADS = 300;
const RATIO_BAR = 2;
const MIB = 2 ** 20;
/** What bodies on their way in may take of a gateway, as shipped (UPLOAD_BYTES_MAX), and what connections may beside. */
const BUDGET_BYTES = 256 * MIB;
const BESIDE_BYTES = 64 * MIB;
/** Nobody waits longer than this for a phase: then it reports what it has. */
const PHASE_MINUTES = 8;
const HOSTILE_EMAIL = 'hostile@example.org';

const HELP = `npm run -s bench -- hostile [--json] [--rounds N] [--markdown]

What one hostile account does to a genuine one, through the real gateway with real servers. A genuine account's whole
attempts, one after the other in real time: first alone, then beside an account that does all it is allowed to, over the
same network and as fast as it is answered: practices full of the dearest pictures that the gateway takes, ${SLOW_UPLOADS} uploads of
4 MB side by side that never end, logins and begins. Its client runs at low priority, as it would have a machine of its own.
The bars: the genuine account's p95 at most ${RATIO_BAR} × as long as alone, all of its attempts verified, and the gateway's
memory at most ${BUDGET_BYTES / MIB} MiB (UPLOAD_BYTES_MAX) and ${BESIDE_BYTES / MIB} MiB above what it was.

  --rounds N   attempts alone, and as many beside the hostile account (30)
  --json       only the JSON line
  --markdown   also writes docs/performance.md
`;

export const benchHostile = (args: string[]): Promise<boolean> =>
  measured({ name: 'hostile', help: HELP, rounds: 30, measure }, args);

async function measure(rounds: number, dir: string, header: string): Promise<Report> {
  const ended = new AbortController();
  const end = (): void => ended.abort();
  process.once('SIGINT', end).once('SIGTERM', end);
  say('looking for the dearest picture …');
  const bomb = await dearestStep();
  say(`steps of ${bomb.frames} × ${bomb.name}`);
  const services = await startServices({ dir, ephemeral: true, log: () => undefined });
  try {
    say('servers are ready; starting the three processes …');
    const env = { UPLOAD_BYTES_MAX: String(BUDGET_BYTES) };
    const apps = await startApps(services, { dir, log: () => undefined, gatewayPort: 0, inferenceThreads: machine().cores, env }); // prettier-ignore
    try {
      return await run({ apps, dir, rounds, header, bomb, ended: ended.signal });
    } finally {
      await apps.stop();
    }
  } finally {
    process.off('SIGINT', end).off('SIGTERM', end);
    await services.stop();
  }
}

interface Run {
  apps: Apps;
  dir: string;
  rounds: number;
  header: string;
  bomb: Bomb;
  ended: AbortSignal;
}

/** A phase: the genuine account's attempts, ms. */
class Phase {
  /** From the begin to the answer; most of it is filming. */
  readonly whole = new Figures();
  /** From the last frame to the answer. */
  readonly answered = new Figures();
  readonly ends = new Map<string, number>();

  get verified(): number {
    return this.ends.get('verified') ?? 0;
  }
  get count(): number {
    return [...this.ends.values()].reduce((sum, n) => sum + n, 0);
  }
}

async function run({ apps, dir, rounds, header, bomb, ended }: Run): Promise<Report> {
  const footage = await Footage.load();
  const genuine = await enrolledUser(apps.gatewayUrl, 'genuine@example.org');
  await consentingUser(apps.gatewayUrl, HOSTILE_EMAIL);
  // What is measured is a process that has been running for a while.
  await attempt(genuine, footage);
  const quiet = await phase('alone', genuine, footage, rounds, ended);
  const before = residentBytes(apps.pids().gateway);
  const hostile = await HostileProcess.start({
    url: apps.gatewayUrl,
    email: HOSTILE_EMAIL,
    password: PASSWORD,
    slowUploads: SLOW_UPLOADS,
    picture: written(dir, 'bomb', bomb.bytes),
    frames: bomb.frames,
    slowBody: written(dir, 'slow-body', await slowBody()),
  });
  let most = before;
  const watch = setInterval(() => (most = Math.max(most, residentBytes(apps.pids().gateway))), 250);
  try {
    const beside = await phase('beside the hostile account', genuine, footage, rounds, ended);
    return report({ quiet, beside, grownBytes: most - before, tally: await hostile.tally(), bomb, header });
  } finally {
    clearInterval(watch);
    hostile.stop();
  }
}

async function phase(
  name: string,
  client: ApiClient,
  footage: Footage,
  rounds: number,
  ended: AbortSignal,
): Promise<Phase> {
  const result = new Phase();
  const until = AbortSignal.any([ended, AbortSignal.timeout(PHASE_MINUTES * 60_000)]);
  while (result.count < rounds && !until.aborted) {
    const from = performance.timeOrigin + performance.now();
    const end = await attempt(client, footage).catch((error: unknown) => ({ refused: String(error) }));
    const how = 'refused' in end ? end.refused : end.status;
    result.ends.set(how, (result.ends.get(how) ?? 0) + 1);
    if (!('refused' in end)) {
      result.whole.add(end.answeredAt - from);
      result.answered.add(end.answeredAt - end.filmedAt);
    }
    if (result.count % 5 === 0) say(`${name}: ${result.count} of ${rounds}, ${endsOf(result)}, p95 ${result.whole.quantile(0.95).toFixed(0)} ms`); // prettier-ignore
  }
  return result;
}

/** Nearly 4 MB of pictures that a gateway takes: behind the end of each stands what no decoder reads. */
async function slowBody(): Promise<Buffer> {
  const picture = await ordinaryPicture(await photoOfFace());
  const long = Buffer.concat([picture, Buffer.alloc(CAPTURE_LIMITS.frameBytesMax - 4_096 - picture.length)]);
  return encodeStep(Array.from({ length: 8 }, (_, i) => ({ tMs: 40 * i, jpeg: other(long) })));
}

function written(dir: string, name: string, bytes: Buffer): string {
  const file = path.join(dir, name);
  writeFileSync(file, bytes);
  return file;
}

function residentBytes(pid: number): number {
  return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

class HostileProcess {
  private constructor(private readonly child: ChildProcess) {}

  static async start(options: HostileOptions): Promise<HostileProcess> {
    const program = path.join(repositoryRoot(), 'dist/bench/hostile-account.js');
    const child = spawn(process.execPath, [program, JSON.stringify(options)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }); // prettier-ignore
    const hostile = new HostileProcess(child);
    await hostile.answer();
    return hostile;
  }

  async tally(): Promise<Tally> {
    this.child.send('tally');
    const answer = await this.answer();
    return answer.kind === 'tally' ? answer.tally : {};
  }

  /** It ends when we hang up. */
  stop(): void {
    if (this.child.connected) this.child.disconnect();
  }

  private answer(): Promise<HostileAnswer> {
    const message = new Promise<HostileAnswer>((resolve) => this.child.once('message', resolve));
    const ended = once(this.child, 'exit').then((): never => {
      throw new Error('the hostile account ended; its reason stands above');
    });
    ended.catch(() => undefined);
    return Promise.race([message, ended]);
  }
}

interface Found {
  quiet: Phase;
  beside: Phase;
  grownBytes: number;
  tally: Tally;
  bomb: Bomb;
  header: string;
}

function report({ quiet, beside, grownBytes, tally, bomb, header }: Found): Report {
  const p95 = (of: 'whole' | 'answered'): number => beside[of].quantile(0.95) / quiet[of].quantile(0.95);
  const bars: Bar[] = [
    { what: 'whole attempts, p95 beside ÷ alone', value: p95('whole'), limit: RATIO_BAR, better: 'lower' },
    { what: 'genuine attempts not verified', value: quiet.count + beside.count - quiet.verified - beside.verified, limit: 0, better: 'lower' },
    { what: 'MiB that the gateway grew', value: grownBytes / MIB, limit: (BUDGET_BYTES + BESIDE_BYTES) / MIB, better: 'lower' },
  ]; // prettier-ignore
  const row = (name: string, it: Phase): string[] => [
    name,
    String(it.count),
    ...[it.whole, it.answered].flatMap((f) => [0.5, 0.95].map((q) => f.quantile(q).toFixed(0))),
    endsOf(it),
  ];
  const lines = [
    '## One hostile account beside a genuine one',
    '',
    `${header}. Attempts of the genuine account one after the other, in real time; frames of 640 × 480.`,
    `The hostile account: practices of ${bomb.frames} × ${bomb.name} a step, ${SLOW_UPLOADS} uploads of 4 MB without their last byte, logins and begins, as fast as it is answered (a refusal is asked again after a second).`,
    `All processes, servers and clients share the machine. From the last frame to the answer, p95 beside ÷ alone: ${p95('answered').toFixed(2)}.`,
    '',
    ...barLines(bars),
    '',
    ...table(
      ['genuine account', 'n', 'whole p50 ms', 'p95', 'last frame to answer p50 ms', 'p95', 'ends'],
      [row('alone', quiet), row('beside the hostile one', beside)],
    ),
    '',
    ...table(
      ['hostile account', 'answers'],
      Object.entries(tally).map(([what, answers]) => [what, listed(Object.entries(answers))]),
    ),
  ];
  const figures = ({ whole, answered, ends }: Phase) => ({
    wholeMs: { p50: whole.median, p95: whole.quantile(0.95) },
    answeredMs: { p50: answered.median, p95: answered.quantile(0.95) },
    ends: Object.fromEntries(ends),
  });
  const json = {
    hostile: { alone: figures(quiet), beside: figures(beside), answers: tally, bomb: bomb.name },
    ratioP95: { whole: p95('whole'), answered: p95('answered') },
    gatewayGrewMib: grownBytes / MIB,
    machine: machine(),
  };
  return { lines, json, met: bars.every((bar) => isMet(bar) === true) };
}

const listed = (entries: Iterable<[string, number]>): string =>
  [...entries].sort(([, a], [, b]) => b - a).map(([how, n]) => `${n} ${how}`).join(', '); // prettier-ignore

const endsOf = ({ ends }: Phase): string => listed(ends);
