import type { StepVerdict } from '#contracts';
import { type AttemptClass, type AttemptEnd, classifyAttempt } from './classify.js';

const done: StepVerdict = { kind: 'done' };
const wrong: StepVerdict = { kind: 'no_action' };
const poor: StepVerdict = { kind: 'quality', code: 'blurred' };
const judged = (judgement: (AttemptEnd & { kind: 'decision' })['judgement'], stalledTwice = false): AttemptEnd => ({
  kind: 'decision',
  judgement,
  stalledTwice,
});
const expired = { kind: 'overdue', outage: false, deciding: false, workersGone: false } satisfies AttemptEnd;

describe('what an end means', () => {
  const cases: [string, (StepVerdict | null)[], AttemptEnd, AttemptClass][] = [
    ['all done and matched', [done, done, done], judged('ok'), 'success'],
    ['another face', [done, done, done], judged('mismatch'), 'failed'],
    ['a spoof, even with a poor step', [poor, done, done], judged('spoof'), 'failed'],
    ['a mismatch with a poor step: no similarity counts', [done, poor, done], judged('mismatch'), 'abandoned'],
    ['a failed step, even when the judgement is good', [done, done, wrong], judged('ok'), 'failed'],
    ['a failed step before a poor one', [poor, wrong, done], judged('not_compared'), 'failed'],
    ['a poor first step', [poor, done, done], judged('ok'), 'retry'],
    ['a poor later step', [done, done, poor], judged('ok'), 'abandoned'],
    ['13.2: a job that killed its worker twice', [done, done, done], judged('not_compared', true), 'free'],
    ['a judgement that is none', [done, done, done], judged('not_compared'), 'free'],
    ['a cancel', [done, null, null], { kind: 'cancel' }, 'abandoned'],
    ['a cancel after a failed step', [wrong, null, null], { kind: 'cancel' }, 'failed'],
    ['a cancel after a poor first step', [poor, null, null], { kind: 'cancel' }, 'retry'],
    ['13.3: an expiry, for nobody knows why nothing came', [null, null, null], expired, 'free'],
    ['13.3: an expiry after a good step', [done, null, null], expired, 'free'],
    ['an expiry after a failed step', [wrong, null, null], { ...expired, outage: true }, 'failed'],
    ['an expiry in an outage', [done, null, null], { ...expired, outage: true }, 'excused'],
    ['a decision that never came', [done, done, done], { ...expired, deciding: true }, 'free'],
    [
      'a decision that never came as there was no worker',
      [done, done, done],
      { ...expired, deciding: true, workersGone: true },
      'excused',
    ],
    ['13.2: a job that was given up', [done, null, null], { kind: 'unjudged', reason: 'worker_failed' }, 'free'],
    [
      'a job that was given up after a failed step',
      [wrong, null, null],
      { kind: 'unjudged', reason: 'stalled_twice' },
      'failed',
    ],
    ['core 10a: too few frames to look at for an attack', [done, done, done], judged('too_few_samples'), 'abandoned'],
    ["the user's own change", [done, null, null], { kind: 'own_change' }, 'abandoned'],
    ["an officer's change, whatever the verdicts", [wrong, poor, null], { kind: 'officer_change' }, 'excused'],
  ];
  it.each(cases)('%s', (_what, verdicts, how, expected) => {
    expect(classifyAttempt('verify', verdicts, how)).toBe(expected);
  });

  it('only a whole capture judged ok is ever a success', () => {
    const all = [done, wrong, poor, null];
    for (const a of all)
      for (const b of all)
        for (const c of all)
          for (const how of [judged('ok'), judged('not_compared'), judged('mismatch'), expired]) {
            const success = classifyAttempt('verify', [a, b, c], how) === 'success';
            const whole = [a, b, c].every((v) => v === done) && how.kind === 'decision' && how.judgement === 'ok';
            expect(success).toBe(whole);
          }
  });

  it('a practice is neither a success nor a failure of ours', () => {
    expect(classifyAttempt('practice', [done, done, done], judged('not_compared'))).toBe('practised');
  });
});
