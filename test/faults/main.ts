import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { repositoryRoot, type Services, startServices, temporaryFolder } from '#stack';
import { boundOf, writeRows } from './harness/report.js';
import { type Finding, isSkipped, type Scenario, type Skipped } from './harness/scenario.js';
import { versionsOf } from './harness/versions.js';
import { parallel } from './scenarios/t02-parallel.js';
import { workerKilled } from './scenarios/t21-worker-killed.js';
import { gatewayKilled } from './scenarios/t22-gateway-killed.js';
import { workerStopped } from './scenarios/t23-worker-stopped.js';
import { redisKilled } from './scenarios/t24-redis-killed.js';
import { redisTail } from './scenarios/t25-redis-tail.js';
import { redisDown } from './scenarios/t27-redis-down.js';
import { redisFull } from './scenarios/t28-redis-full.js';
import { mongoDown } from './scenarios/t29-mongo-down.js';
import { guardWrites } from './scenarios/t31-guard-writes.js';
import { sinkFull } from './scenarios/t32-sink-full.js';
import { auditKilled } from './scenarios/t33-audit-killed.js';
import { terminated } from './scenarios/t49-sigterm.js';

const SCENARIOS: readonly Scenario[] = [
  parallel,
  workerKilled,
  gatewayKilled,
  workerStopped,
  redisKilled,
  redisTail,
  redisDown,
  redisFull,
  mongoDown,
  guardWrites,
  sinkFull,
  auditKilled,
  terminated,
];

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
  // Temporary folders of the dead are swept: what is kept lies elsewhere.
  const dir = o.keep ? path.join(repositoryRoot(), '.countersign', 'faults') : temporaryFolder('faults');
  if (o.keep) fs.rmSync(dir, { recursive: true, force: true });
  const log = (line: string): void => (line.startsWith('mail:') ? undefined : console.error(line));
  const services = await startServices({ dir, ephemeral: true, log });
  const made = { date: new Date().toISOString().slice(0, 10), servers: await versionsOf(services) };
  let failed = 0;
  const ended = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ended.abort());
  try {
    for (const scenario of scenarios) {
      if (ended.signal.aborted) break;
      const rows = await one(scenario, services, dir, o.quick);
      failed += rows.filter((row) => !isSkipped(row) && !row.ok).length;
      if (!o.quick) writeRows(path.join(repositoryRoot(), REPORT), rows, made);
    }
  } finally {
    await services.stop();
    if (o.keep) console.error(`logs: ${dir}`);
    else fs.rmSync(dir, { recursive: true, force: true });
  }
  console.log(failed === 0 ? 'all passed' : `${failed} failed`);
  return failed === 0 && !ended.signal.aborted ? 0 : 1;
}

/** A scenario that breaks is a scenario that failed: the others go on. */
async function one(
  scenario: Scenario,
  services: Services,
  dir: string,
  quick: boolean,
): Promise<(Finding | Skipped)[]> {
  const { id, title } = scenario;
  const from = performance.now();
  const seconds = (): string => `${((performance.now() - from) / 1000).toFixed(0)} s`;
  console.error(`${id} ${title} …`);
  const say = (line: string): void => console.error(`${id}   ${seconds()}: ${line}`);
  const rows = await scenario
    .run({ services, dir: path.join(dir, id), quick, say })
    .catch((error: unknown): Finding[] => {
      console.error(error);
      const found = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
      return [{ id, scenario: title, injected: 'broke off', found, ok: false }];
    });
  for (const row of rows)
    console.log(
      isSkipped(row)
        ? `${row.id}: not run here: ${row.why}`
        : `${row.id}: ${boundOf(row)} – ${row.injected} – ${row.found}`,
    );
  console.error(`${id} took ${seconds()}`);
  return rows;
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
