import type { BoundFrom, Methods } from '#contracts';
import { bindingOf } from './binding.js';

const NOW = Date.parse('2026-11-28T12:00:00Z');
const MINUTE = 60_000;
const ago = (minutes: number): number => NOW - minutes * MINUTE;
const record = (methods: Partial<Methods> = {}, provedAt: number | null = null) => ({
  methods: { pwd: ago(60), ...methods },
  provedAt,
});

describe('a first face', () => {
  const first = { everHadFactor: false, former: null, isHeld: false, now: NOW };

  it.each<[string, ReturnType<typeof record>, BoundFrom, boolean]>([
    ['a password', record(), 'pwd', true],
    ['a password typed just now', record({ pwd: NOW }), 'pwd', true],
    ['a code of 30 minutes ago', record({ recovery: ago(30) }), 'recovery', false],
    ['a code of more than 30 minutes ago', record({ recovery: ago(30) - 1 }), 'pwd', true],
    ['a code of tomorrow', record({ recovery: NOW + 2 * MINUTE }), 'pwd', true],
    ['an invitation of 30 minutes ago', record({}, ago(30)), 'invitation', false],
    ['an invitation of more than 30 minutes ago', record({}, ago(30) - 1), 'pwd', true],
    ['an old code, an invitation of now', record({ recovery: ago(31) }, NOW), 'invitation', false],
  ])('in a session that has shown %s', (_, session, boundFrom, hold) => {
    expect(bindingOf({ ...first, record: session, isProved: true })).toEqual({ boundFrom, hold });
    // Where the operator leaves it open nothing is held, and what there was is told all the same.
    expect(bindingOf({ ...first, record: session, isProved: false })).toEqual({ boundFrom, hold: false });
  });
});

describe('15.3: a face while nobody knows whose the address is', () => {
  it('is held, whatever the session has shown', () => {
    const held = { former: null, isProved: false, isHeld: true, now: NOW };
    for (const everHadFactor of [true, false]) {
      for (const session of [record(), record({ face: NOW }), record({ recovery: NOW }), record({}, NOW)]) {
        expect(bindingOf({ ...held, everHadFactor, record: session })).toMatchObject({ hold: true });
      }
    }
  });
});

describe('a later face', () => {
  const later = { everHadFactor: true, isProved: false, isHeld: false, now: NOW };

  it.each<[string, ReturnType<typeof record>, BoundFrom | null, BoundFrom, boolean]>([
    ['a face', record({ face: ago(300) }), 'invitation', 'face', false],
    ['a face and a code', record({ face: ago(300), recovery: NOW }), 'recovery', 'face', false],
    ['a face that came from a password', record({ face: NOW }), 'pwd', 'pwd', false],
    ['a face of which nothing is known', record({ face: NOW }), null, 'pwd', false],
    ['a code of now', record({ recovery: NOW }), 'face', 'recovery', true],
    ['an invitation of now', record({}, NOW), null, 'pwd', true],
    ['a password', record(), 'face', 'pwd', true],
  ])('in a session that has shown %s', (_, session, former, boundFrom, hold) => {
    expect(bindingOf({ ...later, record: session, former })).toEqual({ boundFrom, hold });
  });
});
