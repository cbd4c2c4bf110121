import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { exitAs, repositoryRoot, type Services, startServices, temporaryFolder } from '#stack';
import { Leftovers, unmountOfTheDead } from './harness/leftovers.js';
import { boundOf, Report } from './harness/report.js';
import { type Context, isSkipped, type Row, type Scenario } from './harness/scenario.js';
import { versionsOf } from './harness/versions.js';
import { parallel } from './scenarios/t02-parallel.js';
import { mail } from './scenarios/t14-mail.js';
import { workerKilled } from './scenarios/t21-worker-killed.js';
import { gatewayKilled } from './scenarios/t22-gateway-killed.js';
import { workerStopped } from './scenarios/t23-worker-stopped.js';
import { redisKilled } from './scenarios/t24-redis-killed.js';
import { redisTail } from './scenarios/t25-redis-tail.js';
import { failover } from './scenarios/t26-failover.js';
import { redisDown } from './scenarios/t27-redis-down.js';
import { redisFull } from './scenarios/t28-redis-full.js';
import { mongoDown } from './scenarios/t29-mongo-down.js';
import { clocks } from './scenarios/t30-clocks.js';
import { guardWrites } from './scenarios/t31-guard-writes.js';
import { sinkFull } from './scenarios/t32-sink-full.js';
import { auditKilled } from './scenarios/t33-audit-killed.js';
import { producers } from './scenarios/t35-producers.js';
import { keyRotation } from './scenarios/t41-key-rotation.js';
import { accountsKilled } from './scenarios/t54-accounts-killed.js';
import { terminated } from './scenarios/t49-sigterm.js';

/** The longest last: a run that is ended early has made the most rows. */
const SCENARIOS: readonly Scenario[] = [
  mail,
  workerKilled,
  gatewayKilled,
  workerStopped,
  redisKilled,
  redisTail,
  failover,
  redisDown,
  redisFull,
  mongoDown,
  clocks,
  guardWrites,
  sinkFull,
  auditKilled,
  accountsKilled,
  keyRotation,
  terminated,
  producers,
  parallel,
];

/** A scenario may take so much longer than it says, and this much besides, on a busy machine. */
const LIMIT_TIMES = 3;
const LIMIT_BASE_MS = 300_000;
const REPORT = 'docs/reliability.md';
const HELP = `npm run faults [-- OPTIONS]

Causes faults in real processes on real servers, and counts what was lost. Writes a row a test to ${REPORT}.

  --only T21,T22   these tests; the other rows of the report stay
  --quick          fewer rounds, for a look: the report is not touched
  --list           the tests, and how long each takes
  --keep           leaves the folder with the logs of all processes, and says where it is
  --help           this text

Exit 0: all passed or could not run here. 1: one failed. 2: called wrongly.`;

async function main(args: string[]): Promise<number> {
  const options = { only: { type: 'string' }, quick: { type: 'boolean' }, list: { type: 'boolean' }, keep: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const; // prettier-ignore
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];
  try {
    ({ values } = parseArgs({ args: args.filter((arg) => arg !== '--'), options }));
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`);
    return 2;
  }
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (values.list) {
    for (const { id, title, seconds } of SCENARIOS)
      console.log(`${id.padEnd(6)}${title} (about ${seconds[0]} s, quick ${seconds[1]} s)`);
    const sum = (i: 0 | 1): string => (SCENARIOS.reduce((total, { seconds }) => total + seconds[i], 0) / 60).toFixed(0);
    console.log(`all: about ${sum(0)} min, quick ${sum(1)} min`);
    return 0;
  }
  const wanted = values.only?.split(',').map((id) => id.trim().toUpperCase());
  const unknown = wanted?.filter((id) => !SCENARIOS.some((scenario) => scenario.id === id)) ?? [];
  if (unknown.length > 0) {
    console.error(`no test ${unknown.join(', ')}; there are ${SCENARIOS.map(({ id }) => id).join(', ')}`);
    return 2;
  }
  return run(SCENARIOS.filter(({ id }) => wanted?.includes(id) ?? true), { quick: values.quick ?? false, keep: values.keep ?? false }); // prettier-ignore
}

async function run(scenarios: readonly Scenario[], o: { quick: boolean; keep: boolean }): Promise<number> {
  unmountOfTheDead();
  // Temporary folders of the dead are swept: what is kept lies elsewhere.
  const dir = o.keep ? path.join(repositoryRoot(), '.countersign', 'faults') : temporaryFolder('faults');
  if (o.keep) fs.rmSync(dir, { recursive: true, force: true });
  const ended = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => ended.abort());
  // What a scenario no longer waits for fails when its servers end; what it waits for fails there, too.
  process.on('unhandledRejection', (reason) => console.error('aside:', reason instanceof Error ? reason.message : reason)); // prettier-ignore
  const from = performance.now();
  const log = (line: string): void => (line.startsWith('mail:') ? undefined : console.error(line));
  const services = await startServices({ dir, ephemeral: true, log });
  const results: Row[] = [];
  try {
    const made = { date: new Date().toISOString().slice(0, 10), servers: await versionsOf(services) };
    const report = o.quick ? null : new Report(path.join(repositoryRoot(), REPORT), made);
    for (const scenario of scenarios) {
      if (ended.signal.aborted) break;
      results.push(...(await one(scenario, { services, dir, quick: o.quick, ended: ended.signal, report })));
    }
  } finally {
    await services.stop();
    if (o.keep) console.error(`logs: ${dir}`);
    else fs.rmSync(dir, { recursive: true, force: true });
  }
  const failed = results.filter((row) => !isSkipped(row) && !row.ok);
  const skipped = results.filter(isSkipped);
  const total = `${results.length} rows in ${((performance.now() - from) / 60_000).toFixed(1)} min`;
  const said = [`${failed.length} failed${listOf(failed)}`, `${skipped.length} not run here${listOf(skipped)}`];
  console.log(`${total}: ${said.join(', ')}${ended.signal.aborted ? '; ended early' : ''}`);
  return failed.length === 0 && !ended.signal.aborted ? 0 : 1;
}

const listOf = (rows: readonly Row[]): string => (rows.length > 0 ? ` (${rows.map(({ id }) => id).join(', ')})` : '');

interface Run {
  services: Services;
  dir: string;
  quick: boolean;
  ended: AbortSignal;
  report: Report | null;
}

/** A scenario that breaks off, or never ends, is a scenario that failed: the others go on. */
async function one(scenario: Scenario, { services, dir, quick, ended, report }: Run): Promise<Row[]> {
  const { id, title } = scenario;
  const from = performance.now();
  const took = (since = from): string => `${((performance.now() - since) / 1000).toFixed(0)} s`;
  console.error(`${id} ${title} …`);
  const rows: Row[] = [];
  const leftovers = new Leftovers();
  const add = (row: Row, since: number): void => {
    if (ended.aborted) return;
    rows.push(row);
    report?.write(row, took(since));
    console.log(
      isSkipped(row)
        ? `${row.id}: not run here: ${row.why}`
        : `${row.id}: ${boundOf(row)} – ${row.injected} – ${row.found}`,
    );
  };
  const brokeOff = (rowId: string, error: unknown): Row => {
    if (!ended.aborted) console.error(error);
    const found = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    return { id: rowId, scenario: title, injected: 'broke off', found, ok: false };
  };
  let over = false;
  const context: Context = {
    services,
    dir: path.join(dir, id),
    quick,
    say: (line) => console.error(`${id}   ${took()}: ${line}`),
    atEnd: (undo) => leftovers.add(undo),
    row: async (rowId, make) => {
      if (over) return;
      const since = performance.now();
      const made = await make().catch((error: unknown) => brokeOff(rowId, error));
      if (!over) for (const row of [made].flat()) add(row, since);
    },
  };
  const limitMs = LIMIT_BASE_MS + LIMIT_TIMES * 1000 * scenario.seconds[quick ? 1 : 0];
  await Promise.race([scenario.run(context), failsAfter(limitMs, ended)]).catch((error: unknown) => {
    over = true;
    add(brokeOff(rows.some((row) => row.id === id) ? `${id} rest` : id, error), from);
  });
  over = true;
  await leftovers.clear();
  if (!ended.aborted) report?.forgetOthers(id, rows);
  console.error(`${id} took ${took()}`);
  return rows;
}

function failsAfter(ms: number, ended: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`not over after ${ms / 1000} s`)), ms).unref();
    ended.addEventListener('abort', () => reject(new Error('ended early')), { once: true });
  });
}

exitAs(main(process.argv.slice(2)));
