import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Apps, startApps, startServices } from '#stack';
import type { ApiClient } from '#testing';
import { attempt, enrolledUser, Footage } from './captures.js';
import { measured, type Report, say } from './command.js';
import { type Bar, barLines, Figures, isMet, table } from './figures.js';
import { machine } from './machine.js';

const LENGTHS = [30, 60] as const;
type Length = (typeof LENGTHS)[number];
type Load = 'idle' | 'half';
const BARS: Record<Length, { p50: number; p95: number }> = { 30: { p50: 250, p95: 400 }, 60: { p50: 450, p95: 700 } };
const BUSY_SHARE = 0.5;
/** Kernel ticks of CPU time in /proc, on every Linux that Node runs on. */
const TICK_MS = 10;

const HELP = `npm run -s bench -- attempt [--json] [--rounds N] [--markdown]

From the last frame to the decision, through the real gateway with real servers: from the moment the last step's frames
are all filmed (its upload begins) until the gateway has committed the decision, and until the client has its answer
(which leaves on a grid of 250 ms on purpose). Captures run in real time, about eight seconds each.

  --rounds N   attempts a cell (20), of four cells: last steps of 30 and of 60 frames, idle and at half load
  --json       only the JSON line
  --markdown   also writes docs/performance.md
`;

export const benchAttempt = (args: string[]): Promise<boolean> =>
  measured({ name: 'attempt', help: HELP, rounds: 20, measure }, args);

async function measure(rounds: number, dir: string, header: string): Promise<Report> {
  const services = await startServices({ dir, ephemeral: true, log: say });
  try {
    const apps = await startApps(services, { dir, log: say, gatewayPort: 0, inferenceThreads: machine().cores });
    try {
      return await new AttemptBench(apps, dir).run(rounds, header);
    } finally {
      await apps.stop();
    }
  } finally {
    await services.stop();
  }
}

interface Cell {
  load: Load;
  length: Length;
  committed: Figures;
  answered: Figures;
  ends: Map<string, number>;
}

class AttemptBench {
  private users = 0;
  private footage!: Footage;
  private readonly cells: Cell[] = (['idle', 'half'] as const).flatMap((load) =>
    LENGTHS.map((length) => ({ load, length, committed: new Figures(), answered: new Figures(), ends: new Map<string, number>() })),
  ); // prettier-ignore

  constructor(
    private readonly apps: Apps,
    private readonly dir: string,
  ) {}

  async run(rounds: number, header: string): Promise<Report> {
    this.footage = await Footage.load();
    const client = await this.user();
    await attempt(client, this.footage);
    const idle = await this.measure('idle', client, rounds);
    // What one capture after the other keeps busy tells how many at a time make half load.
    const cores = machine().cores;
    const background = Math.max(1, Math.round((BUSY_SHARE * cores) / idle.busyCores) - 1);
    say(
      `one capture at a time: ${idle.busyCores.toFixed(2)} cores busy in the worker; ${background} more for half load`,
    );
    const others = await Promise.all(Array.from({ length: background }, () => this.user()));
    let running = true;
    const loops = others.map(async (other) => {
      while (running) await attempt(other, this.footage);
    });
    const half = await this.measure('half', client, rounds);
    running = false;
    await Promise.all(loops);
    return this.report(rounds, header, half.busyCores / cores);
  }

  private async user(): Promise<ApiClient> {
    return enrolledUser(this.apps.gatewayUrl, `bench-${this.users++}@example.org`);
  }

  /** The lengths in turns. */
  private async measure(load: Load, client: ApiClient, rounds: number): Promise<{ busyCores: number }> {
    const from = performance.now();
    const cpu = this.workerCpuMs();
    for (let i = 0; i < rounds; i++) {
      for (const cell of this.cells.filter((c) => c.load === load)) await this.one(cell, client);
      if ((i + 1) % 5 === 0) say(`${load}: ${i + 1} of ${rounds}`);
    }
    return { busyCores: (this.workerCpuMs() - cpu) / (performance.now() - from) };
  }

  private async one(cell: Cell, client: ApiClient): Promise<void> {
    const end = await attempt(client, this.footage, cell.length);
    const count = (what: string): unknown => cell.ends.set(what, (cell.ends.get(what) ?? 0) + 1);
    if (!end) return void count('not decided');
    count(end.status);
    const decidedAt = this.decidedAt(end.attemptId);
    if (decidedAt === null) return;
    cell.committed.add(decidedAt - end.filmedAt);
    cell.answered.add(end.answeredAt - end.filmedAt);
  }

  /** The gateway says so in its log once the database has acknowledged the decision. */
  private decidedAt(attemptId: string): number | null {
    const lines = readFileSync(path.join(this.dir, 'logs/gateway.log'), 'utf8').split('\n');
    const line = lines.find((text) => text.includes('attempt decided') && text.includes(attemptId));
    const time: unknown = line && (JSON.parse(line.slice(line.indexOf('{'))) as { time?: unknown }).time;
    const ms = typeof time === 'string' ? Date.parse(time) : Number(time);
    return Number.isFinite(ms) ? ms : null;
  }

  private workerCpuMs(): number {
    const fields = readFileSync(`/proc/${this.apps.pids().inference}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  }

  private report(rounds: number, header: string, busyShare: number): Report {
    const bars = this.cells
      .filter((cell) => cell.load === 'idle')
      .flatMap(({ length, committed }): Bar[] => [
        { what: `${length} frames, idle, p50 ms`, value: committed.median, limit: BARS[length].p50, better: 'lower' },
        { what: `${length} frames, idle, p95 ms`, value: committed.quantile(0.95), limit: BARS[length].p95, better: 'lower' }, // prettier-ignore
      ]);
    const quantiles = (f: Figures): string[] => [0.5, 0.95, 0.99].map((q) => f.quantile(q).toFixed(0));
    const lines = [
      '## Attempt: last frame to decision',
      '',
      `${header}. ${rounds} attempts a cell, in real time through the gateway; frames of 640 × 480.`,
      'From the moment the last step is filmed (its upload begins) to the committed decision, and to the client’s answer, which leaves on a grid of 250 ms.',
      `All processes and servers share the machine. Half load: other captures at the same time; the worker was ${(100 * busyShare).toFixed(0)} % busy.`,
      '',
      ...barLines(bars),
      '',
      ...table(
        ['last step', 'load', 'n', 'committed p50', 'p95', 'p99', 'answered p50', 'p95', 'p99', 'ends'],
        this.cells.map((cell) => [
          `${cell.length} frames`,
          cell.load,
          String(cell.committed.count),
          ...quantiles(cell.committed),
          ...quantiles(cell.answered),
          [...cell.ends].map(([end, n]) => `${n} ${end}`).join(', '),
        ]),
      ),
    ];
    const json = {
      attempt: this.cells.map(({ load, length, committed, answered, ends }) => ({
        load,
        frames: length,
        n: committed.count,
        committedMs: { p50: committed.median, p95: committed.quantile(0.95), p99: committed.quantile(0.99) },
        answeredMs: { p50: answered.median, p95: answered.quantile(0.95), p99: answered.quantile(0.99) },
        ends: Object.fromEntries(ends),
      })),
      busyShare,
      rounds,
      machine: machine(),
    };
    return { lines, json, met: bars.every((bar) => isMet(bar) !== false) };
  }
}
