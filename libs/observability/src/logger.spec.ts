import { Writable } from 'node:stream';
import { withCorrelation } from './correlation.js';
import { createLogger, type LogFields } from './logger.js';

function capture(): { lines: string[]; destination: Writable } {
  const lines: string[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  return { lines, destination };
}

describe('logger', () => {
  it('drops every field that is not on the list, however it got there', () => {
    const { lines, destination } = capture();
    const fields = { attemptId: 'a', password: 'hunter2', frame: [1, 2, 3], status: 'not a number' };
    createLogger({ name: 't', level: 'info', destination }).info(fields as unknown as LogFields, 'x');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ app: 't', attemptId: 'a', level: 'info', msg: 'x' });
    expect(lines[0]).not.toMatch(/hunter2|frame|not a number/);
  });

  it('logs of an error its name, code and frames, never its message', () => {
    const { lines, destination } = capture();
    const err = Object.assign(new Error('user jane@example.org has token abc\nsecond line abc'), { code: 11000 });
    createLogger({ name: 't', level: 'info', destination }).error({ err }, 'failed');
    const line = JSON.parse(lines[0] ?? '') as { err: { name: string; code: number; frames: string[] } };
    expect(line.err).toMatchObject({ name: 'Error', code: 11000 });
    expect(line.err.frames.length).toBeGreaterThan(0);
    expect(lines[0]).not.toMatch(/jane|abc/);
  });

  it('puts the correlation id on every line inside', async () => {
    const { lines, destination } = capture();
    const logger = createLogger({ name: 't', level: 'info', destination });
    await withCorrelation('req-1', async () => {
      await Promise.resolve();
      logger.info({}, 'inside');
    });
    expect(lines[0]).toContain('"correlationId":"req-1"');
  });
});
