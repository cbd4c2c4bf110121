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
const expired: AttemptEnd = { kind: 'overdue', transportLost: false, deciding: false };

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
    ['a job that killed its worker twice', [done, done, done], judged('not_compared', true), 'abandoned'],
    ['a judgement that is none', [done, done, done], judged('not_compared'), 'free'],
    ['a cancel', [done, null, null], { kind: 'cancel' }, 'abandoned'],
    ['a cancel after a failed step', [wrong, null, null], { kind: 'cancel' }, 'failed'],
    ['a cancel after a poor first step', [poor, null, null], { kind: 'cancel' }, 'retry'],
    ['an expiry', [null, null, null], expired, 'abandoned'],
    ['an expiry after a failed step', [wrong, null, null], { ...expired, transportLost: true }, 'failed'],
    ['an expiry when the transport failed', [done, null, null], { ...expired, transportLost: true }, 'free'],
    ['a decision that never came', [done, done, done], { ...expired, deciding: true }, 'free'],
    ["the user's own change", [done, null, null], { kind: 'own_change' }, 'abandoned'],
    ["an officer's change, whatever the verdicts", [wrong, poor, null], { kind: 'officer_change' }, 'free'],
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
