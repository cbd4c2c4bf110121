import { sourceFiles } from './source-files.js';

const offenders = (pattern: RegExp, except: RegExp): string[] =>
  sourceFiles('apps', 'libs')
    .filter(({ file, text }) => pattern.test(text) && !except.test(file))
    .map(({ file }) => file);

describe('one place each', () => {
  it('only libs/config reads the environment; what forbids telemetry only writes to it', () => {
    expect(offenders(/process\.env/, /^libs\/config\/|\/no-telemetry\.ts$/)).toEqual([]);
    expect(offenders(/process\.env(?!\[VARIABLE\] = )/, /^libs\/config\//)).toEqual([]);
  });

  it('only libs/sealing encrypts', () => {
    expect(offenders(/createCipheriv|createDecipheriv/, /^libs\/sealing\//)).toEqual([]);
  });

  it('nothing in an app prints past the logger, but the commands people run', () => {
    expect(offenders(/console\.(log|error|warn)|process\.std(out|err)/, /\.main\.ts$|\/main\.ts$/)).toEqual([]);
  });

  it('no source compares a queue name or an event type of its own', () => {
    expect(offenders(/new (Queue|Worker)\(/, /^libs\/queue\/|^apps\/inference\/src\/threads\//)).toEqual([]);
  });
});
