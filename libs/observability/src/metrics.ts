import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { ERROR_CODES, EVENT_TYPES, type JobName, JOBS, QUEUES } from '#contracts';

export type ProcessName = 'gateway' | 'inference' | 'audit';

type Labels = Readonly<Record<string, readonly string[]>>;
type Kind = 'counter' | 'gauge' | 'histogram';
interface Definition<K extends Kind = Kind, L extends Labels = Labels> {
  kind: K;
  help: string;
  /** Which processes measure it. */
  of: readonly ProcessName[];
  labels: L;
  /** Upper bounds of a histogram, in the unit of its name. */
  buckets?: readonly number[];
}
const define = <K extends Kind, const L extends Labels>(definition: Definition<K, L>): Definition<K, L> => definition;

/** What a request asked for, as far as its time means something. A long poll's time is mostly the person's. */
export const HTTP_KINDS = ['login', 'begin', 'step', 'poll', 'introspection', 'read', 'write', 'unknown'] as const;
export type HttpKind = (typeof HTTP_KINDS)[number];
/** `refused`: an answer 4xx. `failed`: 5xx, `busy` among them; which it was stands in refusals_total. */
const RESULTS = ['ok', 'refused', 'failed'] as const;

const QUICK = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10];
const SLOW = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60];
const JOB_NAMES = Object.keys(JOBS) as JobName[];

/** Everything that is measured: name, meaning, and the values that each label can have. Nothing else can be counted. */
export const METRICS = {
  http_request_seconds: define({
    kind: 'histogram',
    help: 'Time from the head of a request to the end of its answer.',
    of: ['gateway'],
    labels: { kind: HTTP_KINDS, result: RESULTS },
    buckets: QUICK,
  }),
  refusals_total: define({
    kind: 'counter',
    help: 'Requests refused, by error code (docs/errors.md).',
    of: ['gateway'],
    labels: { code: ERROR_CODES },
  }),
  attempts_total: define({
    kind: 'counter',
    help: 'Captures decided by the result of a worker. What ends otherwise is in events_recorded_total.',
    of: ['gateway'],
    labels: {
      purpose: ['verify', 'enrol', 'practice'],
      outcome: [
        'verified',
        'enrolled',
        'not_verified',
        'retry',
        'expired',
        'cancelled',
        'error',
        'locked',
        'practised',
      ],
    },
  }),
  decision_seconds: define({
    kind: 'histogram',
    help: 'Time from the last frame of a capture to its outcome, both by the clock of MongoDB.',
    of: ['gateway'],
    labels: { purpose: ['verify', 'enrol', 'practice'] },
    buckets: SLOW,
  }),
  job_wait_seconds: define({
    kind: 'histogram',
    help: 'Time that a job waited in its queue, by the clocks of who put it there and of who took it.',
    of: ['gateway', 'inference', 'audit'],
    labels: { job: JOB_NAMES },
    buckets: SLOW,
  }),
  job_seconds: define({
    kind: 'histogram',
    help: 'Time from a job being taken to its end.',
    of: ['gateway', 'inference', 'audit'],
    labels: { job: JOB_NAMES, result: ['done', 'failed'] },
    buckets: SLOW,
  }),
  step_verdicts_total: define({
    kind: 'counter',
    help: 'Steps analysed, by what was found.',
    of: ['inference'],
    labels: { verdict: ['done', 'wrong_action', 'no_action', 'discontinuous', 'not_one_person', 'quality'] },
  }),
  analysis_seconds: define({
    kind: 'histogram',
    help: 'Time that a step took in the threads, waiting for one included.',
    of: ['inference'],
    labels: {},
    buckets: SLOW,
  }),
  frames_analysed_total: define({ kind: 'counter', help: 'Frames analysed.', of: ['inference'], labels: {} }),
  models_ready: define({ kind: 'gauge', help: '1 when every thread has run every model.', of: ['inference'], labels: {} }), // prettier-ignore
  queue_jobs: define({
    kind: 'gauge',
    help: 'Jobs in a queue; absent while Redis does not answer.',
    of: ['audit'],
    labels: { queue: QUEUES, state: ['waiting', 'active', 'delayed'] },
  }),
  queue_workers: define({
    kind: 'gauge',
    help: 'Processes connected to a queue as workers; absent while Redis does not answer.',
    of: ['audit'],
    labels: { queue: QUEUES },
  }),
  events_recorded_total: define({
    kind: 'counter',
    help: 'Events brought into the audit log. One that is brought twice, after a crash, is counted twice.',
    of: ['audit'],
    labels: { type: EVENT_TYPES },
  }),
  event_delay_seconds: define({
    kind: 'histogram',
    help: 'Time from an event to its place in the audit log.',
    of: ['audit'],
    labels: {},
    buckets: [0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800],
  }),
  malformed_events_total: define({ kind: 'counter', help: 'Entries of outboxes that no process of ours wrote.', of: ['audit'], labels: {} }), // prettier-ignore
  log_refused: define({
    kind: 'gauge',
    help: '1 while audit does not sign the log, as it does not continue what was published.',
    of: ['audit'],
    labels: {},
  }),
  mails_total: define({
    kind: 'counter',
    help: 'Mails that came to an end: taken by the mail server, or given up.',
    of: ['audit'],
    labels: { result: ['sent', 'dead'] },
  }),
  mails_waiting: define({
    kind: 'gauge',
    help: 'Mails that wait to be sent; absent while MongoDB does not answer.',
    of: ['audit'],
    labels: {},
  }),
  oldest_mail_seconds: define({
    kind: 'gauge',
    help: 'Age of the oldest mail that waits, 0 if none does.',
    of: ['audit'],
    labels: {},
  }),
} as const;

export type MetricName = keyof typeof METRICS;
type LabelsOf<N extends MetricName> = {
  [K in keyof (typeof METRICS)[N]['labels']]: (typeof METRICS)[N]['labels'][K] extends readonly (infer V)[] ? V : never;
};
type NameOf<K extends Kind> = {
  [N in MetricName]: (typeof METRICS)[N]['kind'] extends K ? N : never;
}[MetricName];

const PREFIX = 'countersign_';

/** Every combination of a metric's label values. */
function combinations(labels: Labels): Record<string, string>[] {
  return Object.entries(labels).reduce<Record<string, string>[]>(
    (all, [name, values]) => all.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))),
    [{}],
  );
}

/** The measurements of one process, in the text format of Prometheus. */
export class Metrics {
  private readonly registry = new Registry();
  private readonly own = new Map<MetricName, Counter | Gauge | Histogram>();
  private readonly looks: (() => Promise<void>)[] = [];

  constructor(readonly process: string) {
    for (const [name, definition] of Object.entries(METRICS) as [MetricName, Definition][]) {
      if (!(definition.of as readonly string[]).includes(process)) continue;
      this.own.set(name, this.make(name, definition));
    }
    if (this.own.size > 0) collectDefaultMetrics({ register: this.registry, prefix: PREFIX });
  }

  /** Of what this process does not measure nothing is kept. */
  count<N extends MetricName>(name: N, labels: LabelsOf<N>, by = 1): void {
    const metric = this.own.get(name);
    if (metric instanceof Counter) metric.inc(labels as Record<string, string>, by);
  }

  /** @param value in the unit of the name. Clocks of two machines may differ: what is below 0 counts as 0. */
  observe<N extends MetricName>(name: N, labels: LabelsOf<N>, value: number): void {
    const metric = this.own.get(name);
    if (metric instanceof Histogram) metric.observe(labels as Record<string, string>, Math.max(0, value));
  }

  set<N extends NameOf<'gauge'>>(name: N, labels: LabelsOf<N>, value: number): void {
    const metric = this.own.get(name);
    if (metric instanceof Gauge) metric.set(labels as Record<string, string>, value);
  }

  /** What has to be asked for is asked when somebody looks. A gauge whose question fails is absent: 0 would be a claim. */
  whenRead(names: readonly NameOf<'gauge'>[], ask: () => Promise<void>): void {
    const forget = (): void => {
      for (const name of names) {
        const gauge = this.own.get(name) as Gauge | undefined;
        // `reset` leaves a gauge without labels at 0.
        if (Object.keys(METRICS[name].labels).length > 0) gauge?.reset();
        else gauge?.remove();
      }
    };
    this.looks.push(async () => {
      forget();
      await ask().catch(forget);
    });
  }

  /** One text with all of them, and its media type. */
  async text(): Promise<{ type: string; body: string }> {
    await Promise.all(this.looks.map((look) => look()));
    return { type: this.registry.contentType, body: await this.registry.metrics() };
  }

  private make(name: MetricName, { kind, help, labels, buckets }: Definition): Counter | Gauge | Histogram {
    const options = { name: PREFIX + name, help, labelNames: Object.keys(labels), registers: [this.registry] };
    if (kind === 'gauge') return new Gauge(options);
    const all = combinations(labels);
    if (kind === 'histogram') {
      const histogram = new Histogram({ ...options, buckets: [...(buckets ?? QUICK)] });
      for (const each of all) histogram.zero(each);
      return histogram;
    }
    const counter = new Counter(options);
    // A counter that appears with its first event has no rate at that event.
    for (const each of all) counter.inc(each, 0);
    return counter;
  }
}
