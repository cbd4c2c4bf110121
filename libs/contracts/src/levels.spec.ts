import { ACR, type Methods, reached } from './levels.js';

const NOW = Date.parse('2026-11-28T12:00:00Z');
const MINUTE = 60_000;
const ago = (minutes: number): number => NOW - minutes * MINUTE;

describe('the levels of a session', () => {
  const pwd = { acr: ACR.pwd, at: ago(60), amr: ['pwd'] };
  const recovery = { acr: ACR.recovery, at: ago(10), amr: ['pwd'] };
  const face = { acr: ACR.face, at: ago(5), amr: ['pwd', 'face', 'mfa'] };

  it.each<[string, Methods, unknown[]]>([
    ['a password', { pwd: ago(60) }, [pwd]],
    ['a mailed code, which is no second factor', { pwd: ago(60), recovery: ago(10) }, [recovery, pwd]],
    ['a face, which does not stand in for a code', { pwd: ago(60), face: ago(5) }, [face, pwd]],
    ['both', { pwd: ago(60), recovery: ago(10), face: ago(5) }, [face, recovery, pwd]],
    [
      'both, the code after the face',
      { pwd: ago(60), recovery: ago(1), face: ago(5) },
      [face, { ...recovery, at: ago(1) }, pwd],
    ],
    ['a face of tomorrow', { pwd: ago(60), face: NOW + MINUTE + 1 }, [pwd]],
    ['a code of tomorrow', { pwd: ago(60), recovery: NOW + MINUTE + 1 }, [pwd]],
    [
      'a face by a clock that is a minute ahead',
      { pwd: ago(60), face: NOW + MINUTE },
      [{ ...face, at: NOW + MINUTE }, pwd],
    ],
  ])('%s', (_, methods, levels) => {
    expect(reached(methods, NOW)).toEqual(levels);
  });
});
