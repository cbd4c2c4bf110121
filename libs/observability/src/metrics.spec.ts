import { Metrics, METRICS, type ProcessName } from './metrics.js';
import { type AppLogger, createLogger } from './logger.js';
import { MetricsServer } from './metrics-server.js';

const SERIES_MAX = 1_500;
const series = (text: string): string[] => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
const bodyOf = async (metrics: Metrics): Promise<string> => (await metrics.text()).body;
const logger = (): AppLogger => createLogger({ name: 'test', level: 'error', destination: { write: () => undefined } });

describe('metrics', () => {
  it.each(['gateway', 'inference', 'audit'] as const)(
    `of %s: every series that there can be is there from the start, and they are at most ${SERIES_MAX}`,
    async (name: ProcessName) => {
      const metrics = new Metrics(name);
      const before = series(await bodyOf(metrics)).length;
      for (const [metric, { of, kind, labels }] of Object.entries(METRICS)) {
        if (!(of as readonly string[]).includes(name) || kind === 'gauge') continue;
        // The last value of each label: one that had not been thought of would be a new series.
        const each = Object.fromEntries(Object.entries(labels as Record<string, readonly string[]>).map(([label, values]) => [label, values.at(-1)!])); // prettier-ignore
        if (kind === 'counter') metrics.count(metric as 'refusals_total', each as { code: 'internal' });
        else metrics.observe(metric as 'analysis_seconds', each, 1);
      }
      const after = series(await bodyOf(metrics));
      expect(after.length).toBe(before);
      expect(after.length).toBeGreaterThan(50);
      expect(after.length).toBeLessThanOrEqual(SERIES_MAX);
    },
  );

  it('what another process measures is not here', async () => {
    const metrics = new Metrics('inference');
    metrics.count('refusals_total', { code: 'busy' });
    expect(await bodyOf(metrics)).not.toContain('refusals_total');
    expect(series(await bodyOf(new Metrics('bench')))).toEqual([]);
  });

  it('counts, and observes in seconds; a clock that is behind counts as 0', async () => {
    const metrics = new Metrics('gateway');
    metrics.count('refusals_total', { code: 'busy' });
    metrics.count('refusals_total', { code: 'busy' }, 2);
    metrics.observe('job_wait_seconds', { job: 'face.result' }, -3);
    const text = await bodyOf(metrics);
    expect(text).toContain('countersign_refusals_total{code="busy"} 3');
    expect(text).toContain('countersign_refusals_total{code="internal"} 0');
    expect(text).toContain('countersign_job_wait_seconds_bucket{le="0.01",job="face.result"} 1');
    expect(text).toContain('countersign_job_wait_seconds_sum{job="face.result"} 0');
  });

  it('a gauge is asked for when it is read, and absent when the question fails', async () => {
    const metrics = new Metrics('audit');
    let isDown = false;
    metrics.whenRead(['mails_waiting', 'queue_jobs'], () => {
      metrics.set('queue_jobs', { queue: 'face', state: 'waiting' }, 4);
      if (isDown) return Promise.reject(new Error('down'));
      metrics.set('mails_waiting', {}, 7);
      return Promise.resolve();
    });
    expect(series(await bodyOf(metrics))).toEqual(expect.arrayContaining(['countersign_mails_waiting 7', 'countersign_queue_jobs{queue="face",state="waiting"} 4'])); // prettier-ignore
    isDown = true;
    expect(series(await bodyOf(metrics)).filter((line) => /mails_waiting|queue_jobs/.test(line))).toEqual([]);
  });
});

describe('the listener of metrics', () => {
  it('serves one path, by GET and HEAD, and is gone with its process', async () => {
    const server = new MetricsServer({ host: '127.0.0.1', port: 0 }, new Metrics('gateway'), logger());
    await server.onApplicationBootstrap();
    const { port } = server;
    const ask = (path: string, method = 'GET'): Promise<Response> =>
      fetch(`http://127.0.0.1:${port}${path}`, { method });
    const answer = await ask('/metrics');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(await answer.text()).toContain('countersign_http_request_seconds_count{kind="login",result="ok"} 0');
    expect((await ask('/metrics', 'HEAD')).status).toBe(200);
    expect((await ask('/metrics', 'POST')).status).toBe(405);
    expect((await ask('/')).status).toBe(404);
    await server.beforeApplicationShutdown();
    await expect(ask('/metrics')).rejects.toThrow();
  });

  it('listens nowhere without a port; a process whose port is taken does not start', async () => {
    const silent = new MetricsServer({ host: '127.0.0.1', port: undefined }, new Metrics('gateway'), logger());
    await silent.onApplicationBootstrap();
    expect(silent.port).toBeUndefined();
    const first = new MetricsServer({ host: '127.0.0.1', port: 0 }, new Metrics('gateway'), logger());
    await first.onApplicationBootstrap();
    const second = new MetricsServer({ host: '127.0.0.1', port: first.port }, new Metrics('gateway'), logger());
    await expect(second.onApplicationBootstrap()).rejects.toThrow(/EADDRINUSE/);
    await first.beforeApplicationShutdown();
    await second.beforeApplicationShutdown();
  });
});
