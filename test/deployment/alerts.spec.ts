import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { METRICS, Metrics } from '#observability';
import { cacheFolder, findProgram, type Program, repositoryRoot, temporaryFolder } from '#stack';

jest.setTimeout(120_000);

const ruleSchema = z.union([
  z.strictObject({ record: z.string(), expr: z.string() }),
  z.strictObject({
    alert: z.string(),
    expr: z.string(),
    for: z.string(),
    labels: z.strictObject({ severity: z.enum(['critical', 'warning']) }),
    annotations: z.strictObject({ summary: z.string() }),
  }),
]);
const rulesSchema = z.strictObject({ groups: z.array(z.strictObject({ name: z.string(), rules: z.array(ruleSchema) })) }); // prettier-ignore
const dashboardSchema = z.looseObject({
  panels: z.array(z.looseObject({ type: z.string(), title: z.string(), targets: z.array(z.looseObject({ expr: z.string() })).default([]) })), // prettier-ignore
});

const file = (name: string): string => path.join(repositoryRoot(), name);
const read = (name: string): string => fs.readFileSync(file(name), 'utf8');
const rules = rulesSchema.parse(parse(read('deploy/prometheus/alerts.yaml')));
const all = rules.groups.flatMap((group) => group.rules);
const alerts = all.flatMap((rule) => ('alert' in rule ? [rule] : []));
const dashboard = dashboardSchema.parse(JSON.parse(read('deploy/grafana/countersign.json')));

const INTERVALS = ['1m', '5m', '30m'] as const;
type Interval = (typeof INTERVALS)[number];
/** A series and its values, a minute apart, in promtool's notation: `0+5x60` grows by 5 for an hour, `2x60` stays. */
type Series = Record<string, string>;
interface Case {
  at: string;
  /** How far apart values and looks at them are, where it is not a minute: days of minutes take promtool a quarter of an hour. */
  every?: Interval;
  fires: Series;
  quiet: Series;
  /** Labels of the alert beside `severity`. */
  labels?: Record<string, string>;
}
const begins = (result: string, le: string): string => `countersign_http_request_seconds_bucket{kind="begin",result="${result}",le="${le}"}`; // prettier-ignore
const beginCount = (result: string): string =>
  `countersign_http_request_seconds_count{kind="begin",result="${result}"}`;
/** `bad` of 1,000 a minute break the promise about begins, by being slow. */
const slowBegins = (bad: number, minutes: number): Series => ({
  [begins('ok', '0.5')]: `0+${1000 - bad}x${minutes}`,
  [beginCount('ok')]: `0+1000x${minutes}`,
});
const within = (metric: string, le: string, bad: number, minutes: number): Series => ({
  [`countersign_${metric}_bucket{le="${le}"}`]: `0+${1000 - bad}x${minutes}`,
  [`countersign_${metric}_count`]: `0+1000x${minutes}`,
});
/** Three days and two hours of half hours. */
const DAYS = (3 * 24 + 2) * 2;
const events = (type: string): string => `countersign_events_recorded_total{type="${type}"}`;

const CASES: Record<string, Case> = {
  CountersignBeginBudgetFast: {
    at: '90m',
    fires: {
      [begins('ok', '0.5')]: '0+950x100',
      [beginCount('ok')]: '0+950x100',
      [begins('failed', '0.5')]: '0+50x100',
      [beginCount('failed')]: '0+50x100',
    },
    quiet: slowBegins(1, 100),
  },
  CountersignBeginBudgetSlow: { at: '74h', every: '30m', fires: slowBegins(2, DAYS), quiet: slowBegins(0, DAYS) },
  CountersignDecisionBudgetFast: { at: '90m', fires: within('decision_seconds', '2', 200, 100), quiet: within('decision_seconds', '2', 50, 100) }, // prettier-ignore
  CountersignDecisionBudgetSlow: { at: '74h', every: '30m', fires: within('decision_seconds', '2', 15, DAYS), quiet: within('decision_seconds', '2', 5, DAYS) }, // prettier-ignore
  CountersignRecordBudgetFast: { at: '90m', fires: within('event_delay_seconds', '60', 20, 100), quiet: within('event_delay_seconds', '60', 5, 100) }, // prettier-ignore
  CountersignRecordBudgetSlow: { at: '74h', every: '30m', fires: within('event_delay_seconds', '60', 2, DAYS), quiet: within('event_delay_seconds', '60', 0, DAYS) }, // prettier-ignore
  CountersignNoWorkers: {
    at: '10m',
    fires: { 'countersign_queue_workers{queue="face"}': '2x5 0x10' },
    quiet: { 'countersign_queue_workers{queue="face"}': '1x15', 'countersign_queue_workers{queue="results"}': '0x15' },
  },
  CountersignQueueUnknown: {
    at: '10m',
    fires: { 'countersign_queue_workers{queue="results"}': '2x15' },
    quiet: { 'countersign_queue_workers{queue="face"}': '0x15' },
    labels: { queue: 'face' },
  },
  CountersignStepsWait: {
    at: '20m',
    fires: {
      'countersign_job_wait_seconds_bucket{job="face.step",le="5"}': '0+90x30',
      'countersign_job_wait_seconds_bucket{job="face.step",le="10"}': '0+100x30',
      'countersign_job_wait_seconds_bucket{job="face.step",le="+Inf"}': '0+100x30',
    },
    quiet: {
      'countersign_job_wait_seconds_bucket{job="face.step",le="5"}': '0+99x30',
      'countersign_job_wait_seconds_bucket{job="face.step",le="+Inf"}': '0+100x30',
      // Mails and results have queues of their own.
      'countersign_job_wait_seconds_bucket{job="mail.send",le="5"}': '0+0x30',
      'countersign_job_wait_seconds_bucket{job="mail.send",le="+Inf"}': '0+100x30',
    },
  },
  CountersignBeginsRefused: {
    at: '20m',
    fires: { 'countersign_refusals_total{code="busy"}': '0+30x30', [beginCount('ok')]: '0+70x30', [beginCount('failed')]: '0+30x30' }, // prettier-ignore
    quiet: { 'countersign_refusals_total{code="busy"}': '0+10x30', [beginCount('ok')]: '0+90x30', [beginCount('failed')]: '0+10x30' }, // prettier-ignore
  },
  CountersignModelsNotReady: {
    at: '15m',
    fires: { 'countersign_models_ready{instance="a"}': '1x20', 'countersign_models_ready{instance="b"}': '0x20' },
    quiet: { 'countersign_models_ready{instance="a"}': '1x20', 'countersign_models_ready{instance="b"}': '0x11 1x10' },
  },
  CountersignLogRefused: {
    at: '5m',
    fires: { countersign_log_refused: '0x3 1x10' },
    quiet: { countersign_log_refused: '0x10' },
  },
  CountersignMalformedEvents: {
    at: '10m',
    fires: { countersign_malformed_events_total: '0x5 1x10' },
    quiet: { countersign_malformed_events_total: '7x20' },
  },
  CountersignResultForged: {
    at: '10m',
    fires: { [events('result_forged')]: '0x5 1x10' },
    quiet: { [events('result_forged')]: '3x20', [events('success')]: '0+9x20' },
  },
  CountersignModelRefused: {
    at: '10m',
    fires: { [events('model_refused')]: '0x5 1x10' },
    quiet: { [events('model_refused')]: '1x20', [events('model_loaded')]: '0+1x20' },
  },
  CountersignMailsWait: {
    at: '30m',
    fires: { countersign_oldest_mail_seconds: '0+60x40' },
    quiet: { countersign_oldest_mail_seconds: '800x40' },
  },
  CountersignMailsGivenUp: {
    at: '30m',
    fires: { 'countersign_mails_total{result="dead"}': '0x20 1x20' },
    quiet: { 'countersign_mails_total{result="dead"}': '4x40', 'countersign_mails_total{result="sent"}': '0+5x40' },
  },
  CountersignLocksRise: {
    at: '24h30m',
    every: '5m',
    fires: { [events('locked')]: '0+0.25x288 72+15x12' },
    // Always so many, in a large house.
    quiet: { [events('locked')]: '0+15x300' },
  },
  CountersignLoginsFail: {
    at: '24h30m',
    every: '5m',
    fires: { [events('login_failed')]: '0+5x288 1440+200x12' },
    quiet: { [events('login_failed')]: '0+200x300' },
  },
  CountersignProcessGone: {
    at: '10m',
    fires: { 'up{job="countersign-gateway",instance="a"}': '1x5 0x10' },
    quiet: { 'up{job="countersign-gateway",instance="a"}': '1x15', 'up{job="node",instance="a"}': '0x15' },
    labels: { job: 'countersign-gateway', instance: 'a' },
  },
};

/** Every name of ours that an expression reads. */
const namesIn = (expr: string): string[] =>
  [...expr.matchAll(/\bcountersign_([a-z0-9_]+)/g)].map(([, name = '']) => name.replace(/_(bucket|count|sum)$/, ''));
/** Values of a label that an expression names. */
const valuesIn = (expr: string): [label: string, value: string][] =>
  [...expr.matchAll(/([a-z]+)(?:!?=~?)"([^"$]+)"/g)].flatMap(([, label = '', values = '']) => values.split('|').map((value): [string, string] => [label, value])); // prettier-ignore

describe('alerts and dashboard', () => {
  let promtool: Program;
  const dir = temporaryFolder('alerts');
  beforeAll(async () => {
    promtool = await findProgram({ name: 'promtool', title: 'promtool', packages: ['prometheus'] }, 'usr/bin/promtool', { env: process.env, cache: cacheFolder, log: (line) => console.error(line) }); // prettier-ignore
  });
  afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));
  const run = (args: string[], input?: string): { status: number | null; output: string } => {
    const [command, all] = promtool.command(args);
    const { status, stdout, stderr } = spawnSync(command, all, { encoding: 'utf8', input, cwd: dir });
    return { status, output: stdout + stderr };
  };

  it('the rules are valid, and without a word that promtool would warn about', () => {
    const { status, output } = run(['check', 'rules', file('deploy/prometheus/alerts.yaml')]);
    expect([status, output]).toEqual([0, expect.stringContaining(`SUCCESS: ${all.length} rules found`)]);
    // A slip is found: else the line above says nothing.
    fs.writeFileSync(path.join(dir, 'slip.yaml'), read('deploy/prometheus/alerts.yaml').replace('histogram_quantile(0.95,', 'histogram_quantile(')); // prettier-ignore
    expect(run(['check', 'rules', 'slip.yaml']).status).not.toBe(0);
  });

  it('there is a case for every alert', () => {
    expect(Object.keys(CASES).sort()).toEqual(alerts.map(({ alert }) => alert).sort());
  });

  it.each(INTERVALS)(
    'alerts of series with a value each %s fire when they should and are quiet when they should be',
    (interval) => {
      const tests = alerts.flatMap(({ alert, labels, annotations }) => {
        const { at, every = '1m', fires, quiet, labels: more = {} } = CASES[alert]!;
        if (every !== interval) return [];
        const test = (series: Series, exp_alerts: unknown[]) => ({
          name: `${alert} ${exp_alerts.length > 0 ? 'fires' : 'is quiet'}`,
          interval,
          input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
          alert_rule_test: [{ eval_time: at, alertname: alert, exp_alerts }],
        });
        return [test(fires, [{ exp_labels: { ...labels, ...more }, exp_annotations: annotations }]), test(quiet, [])];
      });
      expect(tests.length).toBeGreaterThan(0);
      const asked = { rule_files: [file('deploy/prometheus/alerts.yaml')], evaluation_interval: interval, tests };
      fs.writeFileSync(path.join(dir, `tests-${interval}.yaml`), stringify(asked));
      const { status, output } = run(['test', 'rules', `tests-${interval}.yaml`]);
      expect([status, output]).toEqual([0, expect.stringContaining('SUCCESS')]);
    },
  );

  it('every name and label value that a rule or a panel reads is measured', () => {
    const expressions = [...all.map(({ expr }) => expr), ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))]; // prettier-ignore
    const builtIn = /^(process|nodejs)_/;
    for (const expr of expressions) {
      const names = namesIn(expr);
      for (const name of names) {
        if (builtIn.test(name)) continue;
        expect({ expr, name, isMeasured: name in METRICS }).toEqual({ expr, name, isMeasured: true });
      }
      const known = names.flatMap((name) => Object.entries(METRICS[name as keyof typeof METRICS]?.labels ?? {}));
      for (const [label, value] of valuesIn(expr)) {
        if (label === 'le' || (label === 'job' && value.startsWith('countersign-'))) continue;
        const values = known.filter(([name]) => name === label).flatMap(([, all]) => all as readonly string[]);
        expect({ expr, value, is: values.includes(value) }).toEqual({ expr, value, is: true });
      }
    }
  });

  it('bounds of promises are bounds of buckets, so that they are counted exactly', () => {
    const exact = (metric: keyof typeof METRICS, bound: number) => {
      const { buckets } = METRICS[metric] as { buckets?: readonly number[] };
      expect([metric, buckets]).toEqual([metric, expect.arrayContaining([bound])]);
    };
    exact('http_request_seconds', 0.5);
    exact('decision_seconds', 2);
    exact('event_delay_seconds', 60);
  });

  it('every expression of the dashboard is valid', () => {
    const panels = dashboard.panels.filter(({ type }) => type !== 'row');
    expect(panels.length).toBeGreaterThan(10);
    const made = panels.flatMap(({ title, targets }) => {
      expect([title, targets.length]).not.toEqual([title, 0]);
      return targets.map(({ expr }, i) => ({ record: `panel:${i}`, expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*') })); // prettier-ignore
    });
    const unique = made.map((rule, i) => ({ ...rule, record: `panel:n${i}` }));
    fs.writeFileSync(path.join(dir, 'panels.yaml'), stringify({ groups: [{ name: 'panels', rules: unique }] }));
    const { status, output } = run(['check', 'rules', 'panels.yaml']);
    expect([status, output]).toEqual([0, expect.stringContaining('SUCCESS')]);
  });

  it.each(['gateway', 'inference', 'audit'])('what %s measures passes the lint of promtool', async (name) => {
    const { status, output } = run(['check', 'metrics'], (await new Metrics(name).text()).body);
    // Names of prom-client's own, as every Node process has them.
    const ours = output.split('\n').filter((line) => line && !/countersign_(nodejs|process)_/.test(line));
    expect([status === 0 || status === 3, ours]).toEqual([true, []]);
  });

  it('docs/operations.md says of every alert what to do', () => {
    const table = read('docs/operations.md');
    for (const { alert } of alerts) expect(table).toContain(`| \`${alert}\` |`);
    const named = [...table.matchAll(/^\| `(Countersign\w+)` \|/gm)].map(([, name]) => name);
    expect(named.sort()).toEqual(alerts.map(({ alert }) => alert).sort());
  });

  it('the rules for the Prometheus operator are the same', () => {
    const rule = parse(read('k8s/components/prometheus-operator/rules.yaml')) as { spec: unknown };
    expect(rule.spec).toEqual(rules);
  });
});
