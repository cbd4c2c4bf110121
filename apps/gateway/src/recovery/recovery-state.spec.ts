import { issue, noRecovery, type RecoveryState, tryCode } from './recovery-state.js';

const T0 = new Date('2026-01-01T00:00:00Z');
const later = (ms: number): Date => new Date(T0.getTime() + ms);
const MINUTE = 60_000;
const useBy = (tokenMac: string) => ({ tokenMac, opId: `op of ${tokenMac}`, eventId: `event of ${tokenMac}` });
const good = { codeMac: 'right', sessionId: 's1', credentialEpoch: 0, use: useBy('old') };

function issued(state: RecoveryState = noRecovery('u'), at = T0): RecoveryState {
  const outcome = issue(state, 0, good, at);
  if (outcome.kind !== 'issued') throw new Error('refused');
  return outcome.next;
}

describe('recovery codes', () => {
  it('work once', () => {
    const first = tryCode(issued(), 0, good, later(1_000));
    expect(first.kind).toBe('right');
    expect('next' in first && tryCode(first.next, 0, { ...good, use: useBy('new') }, later(2_000)).kind).toBe('none');
  });

  it('13.3: are the same use again for a minute with the token that used them, until there is another code', () => {
    const first = tryCode(issued(), 0, good, later(1_000));
    if (first.kind !== 'right') throw new Error(first.kind);
    const repeat = { ...good, use: { ...useBy('old'), opId: 'another', eventId: 'another' } };
    expect(tryCode(first.next, 0, repeat, later(60_999))).toEqual({ kind: 'again', use: good.use });
    expect(tryCode(first.next, 0, repeat, later(61_000)).kind).toBe('none');
    expect(tryCode(first.next, 0, { ...repeat, codeMac: 'wrong' }, later(2_000)).kind).toBe('none');
    expect(tryCode(issued(first.next, later(2_000)), 0, { ...repeat }, later(3_000)).kind).toBe('right');
    expect(tryCode(issued(first.next, later(2_000)), 0, { ...good, codeMac: 'wrong' }, later(3_000)).kind).toBe(
      'wrong',
    );
  });

  it('work for ten minutes, in their session only', () => {
    expect(tryCode(issued(), 0, good, later(10 * MINUTE - 1)).kind).toBe('right');
    expect(tryCode(issued(), 0, good, later(10 * MINUTE)).kind).toBe('none');
    expect(tryCode(issued(), 0, { ...good, sessionId: 's2' }, T0).kind).toBe('none');
  });

  it('15.3: end with the credentials under which they were mailed', () => {
    expect(tryCode(issued(), 0, { ...good, credentialEpoch: 1 }, T0).kind).toBe('none');
  });

  it('take five tries, then not even the right one', () => {
    let state = issued();
    for (let i = 0; i < 5; i++) {
      const outcome = tryCode(state, 0, { ...good, codeMac: 'wrong' }, T0);
      expect(outcome.kind).toBe('wrong');
      if ('next' in outcome) state = outcome.next;
    }
    expect(tryCode(state, 0, good, T0).kind).toBe('none');
  });

  it('are made three times an hour', () => {
    let state = issued();
    for (let i = 1; i < 3; i++) state = issued(state, later(i * MINUTE));
    expect(issue(state, 0, good, later(59 * MINUTE))).toEqual({ kind: 'refused', retryAfterSeconds: 60 });
    expect(issue(state, 0, good, later(60 * MINUTE + 1)).kind).toBe('issued');
  });

  it('are tried fifteen times a day, whatever the number of codes', () => {
    let state = noRecovery('u');
    let tries = 0;
    for (let hour = 0; hour < 10 && tries < 15; hour++) {
      const at = later(hour * 60 * MINUTE);
      state = issued(state, at);
      for (let i = 0; i < 4 && tries < 15; i++) {
        const outcome = tryCode(state, 0, { ...good, codeMac: 'wrong' }, at);
        if (!('next' in outcome)) throw new Error(outcome.kind);
        state = outcome.next;
        tries++;
      }
    }
    const day = 24 * 60 * MINUTE;
    expect(tryCode(state, 0, good, later(4 * 60 * MINUTE)).kind).toBe('refused');
    expect(tryCode(issued(state, later(day)), 0, good, later(day + 1)).kind).toBe('right');
  });

  it('B5: budgets are those of a generation of credentials, and nobody goes back to an older one', () => {
    let state = noRecovery('u');
    for (let i = 0; i < 3; i++) state = issued(state);
    for (let i = 0; i < 15; i++) state = { ...state, tried: [...state.tried, T0] };
    expect(issue(state, 0, good, T0).kind).toBe('refused');
    expect(tryCode(state, 0, good, T0).kind).toBe('refused');
    const code = { ...good, credentialEpoch: 1 };
    const renewed = issue(state, 1, code, T0);
    expect(renewed.kind).toBe('issued');
    if (renewed.kind !== 'issued') return;
    expect(tryCode(renewed.next, 1, code, T0).kind).toBe('right');
    // A request that was let in before the renewal finds no budget of its own.
    expect(issue(renewed.next, 0, good, T0)).toMatchObject({ next: { generation: 1, issued: [T0, T0] } });
  });

  it('B5: a code that another session asks for leaves this one as it is', () => {
    const thief = { codeMac: 'other', sessionId: 's2', credentialEpoch: 0, use: useBy('x') };
    const both = issue(issued(), 0, thief, T0);
    if (both.kind !== 'issued') throw new Error('refused');
    expect(tryCode(both.next, 0, good, T0).kind).toBe('right');
    expect(tryCode(both.next, 0, { ...thief, codeMac: 'right' }, T0).kind).toBe('wrong');
  });
});
