import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { repositoryRoot, startApps, startServices, temporaryFolder } from '#stack';
import { ApiClient, Media } from '#testing';
import { openOperator } from './operator.js';
import { type StepReport, table } from './report.js';
import { runScenario } from './scenario.js';
import { svg } from './svg.js';

const HELP = `npm run demo [-- --json] [-- --svg FILE] [-- --keep]

Starts Redis, MongoDB, a mail catcher, the three processes and examples/relying-app with data of their own, runs the main
job on recorded faces through the public API, and exits 0 only if every step had the outcome it must have. Where days
must pass, the dates of one person's face are put back in the demo's own database, and the step says so.

  --json       one JSON object a step, and last {"ok": …, "steps": […]}
  --svg FILE   also draws the result into FILE
  --keep       keeps logs and mails, and says where
  --help       this text`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      svg: { type: 'string' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }

  const say = (line: string): void => console.error(line);
  // What a dead run leaves behind is swept by the next one; what is to be kept has another name.
  const dir = values.keep ? await mkdtemp(path.join(os.tmpdir(), 'countersign-kept-')) : temporaryFolder('demo');
  const reports: StepReport[] = [];
  const emit = (report: StepReport): void => {
    reports.push(report);
    if (values.json) console.log(JSON.stringify(report));
    else say(`${report.ok ? '✔' : '✖'} ${report.lane}: ${report.step} – ${report.outcome}`);
  };
  const ending: (() => Promise<void>)[] = [];
  const end = async (): Promise<void> => {
    for (let one = ending.pop(); one; one = ending.pop()) await one();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void end().finally(() => process.exit(130)));
  }

  const started = performance.now();
  let failure: unknown;
  try {
    const services = await startServices({ dir, ephemeral: true, log: say });
    ending.push(() => services.stop());
    const apps = await startApps(services, { dir, log: say, migrate: true });
    ending.push(() => apps.stop());
    say(`the main job, on recorded faces, at ${apps.gatewayUrl}`);
    const logFile = path.join(dir, 'logs', 'relying-app.log');
    const operator = openOperator({ env: apps.env('gateway'), gatewayUrl: apps.gatewayUrl, logFile });
    ending.push(() => operator.stop());
    const media = new Media(path.join(repositoryRoot(), 'test/media'));
    await runScenario({
      connect: (device) => new ApiClient(apps.gatewayUrl, device),
      mailDir: services.mailDir,
      media,
      operator,
      emit,
    });
  } catch (error) {
    failure = error;
  } finally {
    await end();
  }

  const ok = failure === undefined && reports.length > 0 && reports.every((report) => report.ok);
  if (failure !== undefined && !reports.some((report) => !report.ok))
    say(failure instanceof Error ? failure.message : 'failed');
  const totalMs = Math.round(performance.now() - started);
  if (values.json) console.log(JSON.stringify({ ok, ms: totalMs, steps: reports }));
  else {
    const details = reports.flatMap(({ step, detail }) => (detail === undefined ? [] : ['', `── ${step} ──`, detail]));
    console.log([...details, '', ...table(reports), '', summary(reports, totalMs)].join('\n'));
  }
  if (values.svg !== undefined) await writeFile(values.svg, svg([...table(reports), '', summary(reports, totalMs)]));
  if (ok && !values.keep) await rm(dir, { recursive: true, force: true });
  else say(`logs and mails: ${dir}`);
  return ok ? 0 : 1;
}

function summary(reports: readonly StepReport[], totalMs: number): string {
  const good = reports.filter((report) => report.ok).length;
  return `${good} of ${reports.length} steps as they must be, ${(totalMs / 1000).toFixed(0)} s with starting and stopping`;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? (error.stack ?? error.message) : error);
    process.exit(1);
  },
);
