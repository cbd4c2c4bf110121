import { JOBS } from '#contracts';
import { sourceFiles } from './source-files.js';

describe('job catalogue', () => {
  const handlers = sourceFiles('apps', 'libs').flatMap(({ file, text }) =>
    [...text.matchAll(/@JobHandler\('([^']+)'\)/g)].map(([, job]) => ({ job, app: file.split('/')[1] })),
  );

  it.each(Object.keys(JOBS))('%s has exactly one handler', (job) => {
    expect(handlers.filter((handler) => handler.job === job)).toHaveLength(1);
  });

  it('has an entry for every handler', () => {
    expect(handlers.map(({ job }) => job).filter((job) => !(String(job) in JOBS))).toEqual([]);
  });

  it('has no id with a colon and no options at a call site', () => {
    const offenders = sourceFiles('apps').filter(({ text }) => /attempts:\s*\d|removeOnComplete|backoff:/.test(text));
    expect(offenders.map(({ file }) => file)).toEqual([]);
  });
});
