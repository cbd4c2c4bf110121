import { type Action, ACTIONS } from '#contracts';
import { drawnFor } from './attempts.js';
import { durationOf, type Film, filmMsMax, frozenFrom, joined, reversed, sampled } from './film.js';
import type { Actor, Take } from './footage.js';
import { randomOf } from './random.js';
import { type Cast, STRATEGIES, type StrategyName } from './strategies.js';
import { tallyOf } from './tally.js';

/** Pictures are names here: what is filmed, in which order, is all that a strategy decides. */
const film = (name: string, count = 60): Film =>
  Array.from({ length: count }, (_, i) => ({ tMs: i * 40, jpeg: Buffer.from(`${name}:${i}`) }));
const shows = (f: Film): string[] => [...new Set(f.map(({ jpeg }) => Buffer.from(jpeg).toString().split(':')[0]!))];
const pictures = (f: Film): number => new Set(f.map(({ jpeg }) => Buffer.from(jpeg).toString())).size;

function actor(name: string, gestures: readonly Action[] = ACTIONS): Actor {
  const take = (action: string): Take => ({
    id: action,
    footage: () =>
      Promise.resolve({ film: film(`${name}-${action}`), gesture: { fromMs: 1000, toMs: 2000 }, joins: 0 }),
  });
  const of = (action: Action) => (gestures.includes(action) ? [take(action)] : []);
  const takes = {
    neutral: [take('neutral')],
    blink: of('blink'),
    turn_left: of('turn_left'),
    turn_right: of('turn_right'),
    smile: of('smile'),
  };
  return { name, gestures, takes };
}

const cast = (variant = 1): Cast => ({
  victim: actor('v'),
  others: [actor('o', ['smile', 'blink'])],
  fps: 20,
  variant,
  stage: {
    faceOf: () => Promise.resolve({ x: 0.5, y: 0.4, eyeSpan: 0.2 }),
    picturesOf: (a, action) => {
      const height = film(`${a.name}-${action}`)[0]!;
      return Promise.resolve({ rest: film(`${a.name}-rest`)[0]!, height, enough: height });
    },
  },
});
const CHALLENGE: Action[] = ['smile', 'turn_left', 'blink'];

async function answered(name: StrategyName, seed: number, variant = 1): Promise<Film[]> {
  const answer = STRATEGIES[name].prepare(cast(variant), randomOf('t', seed), CHALLENGE);
  return Promise.all(CHALLENGE.map((action, i) => answer(action, i).film()));
}

describe('strategies', () => {
  it('genuine shows what is asked, from rest, within a step', async () => {
    const films = await answered('genuine', 1);
    expect(films.map(shows)).toEqual([['v-smile'], ['v-turn_left'], ['v-blink']]);
    for (const f of films) {
      expect(durationOf(f)).toBeLessThanOrEqual(filmMsMax(20));
      expect(f[0]!.tMs).toBe(0);
      expect((f.length - 1) / (durationOf(f) / 1000)).toBeCloseTo(20);
    }
  });

  it('a seed repeats a film, another filming differs', async () => {
    expect(await answered('frozen', 1)).toEqual(await answered('frozen', 1));
    expect(await answered('frozen', 1, 2)).not.toEqual(await answered('frozen', 1, 3));
  });

  it.each([1, 2, 3, 4, 5])('wrong_action is wrong in one step (seed %i)', async (seed) => {
    const shown = (await answered('wrong_action', seed)).map((f) => shows(f)[0]);
    expect(shown.filter((s, i) => s !== `v-${CHALLENGE[i]}`)).toHaveLength(1);
  });

  it('still is one picture, frozen stands still at its end, the impostor is another person', async () => {
    for (const f of await answered('still', 1)) expect([pictures(f), shows(f)]).toEqual([1, ['v-neutral']]);
    for (const f of await answered('frozen', 3)) {
      expect(pictures(f.slice(-25))).toBe(1);
      expect(pictures(f)).toBeGreaterThan(1);
    }
    expect((await answered('impostor', 1)).map((f) => shows(f)[0])).toEqual(['o-smile', 'o-smile', 'o-blink']);
  });

  it('loop shows every gesture in every step', async () => {
    for (const f of await answered('loop', 1)) expect(shows(f).sort()).toEqual(ACTIONS.map((a) => `v-${a}`).sort());
  });

  it('spliced has another person in one step, in a stretch of it', async () => {
    const films = await answered('spliced', 2);
    const mixed = films.filter((f) => shows(f).some((s) => s.startsWith('o-')));
    expect(mixed).toHaveLength(1);
    const foreign = mixed[0]!.map(({ jpeg }) => Buffer.from(jpeg).toString().startsWith('o-'));
    expect(foreign.filter((o, i) => o !== (foreign[i - 1] ?? false)).length).toBeLessThanOrEqual(2);
    expect(foreign).toContain(false);
  });

  it('replay plays one recorded session, whatever is asked', async () => {
    const shown = await Promise.all(
      [1, 2, 3, 4].map(async (s) => (await answered('replay', s)).map((f) => shows(f)[0])),
    );
    expect(new Set(shown.map((s) => s.join())).size).toBeGreaterThan(1);
  });
});

describe('films', () => {
  it('are joined, turned round, held and slowed', () => {
    const both = joined(film('a', 3), film('b', 2));
    expect(both.map((f) => f.tMs)).toEqual([0, 40, 80, 120, 160]);
    expect(reversed(both).map((f) => f.jpeg)).toEqual(both.map((f) => f.jpeg).reverse());
    expect(pictures(frozenFrom(film('a'), 400))).toBe(11);
    expect(pictures(sampled(film('a'), 25, 2000, (t) => t / 2))).toBe(26);
  });
});

describe('attempts', () => {
  it('are drawn over all 64 challenges, and only over what the person can show: as many for two gestures', () => {
    const drawn = (who: Actor) => new Set(Array.from({ length: 2000 }, (_, i) => drawnFor(who, ['t', i]).join()));
    expect(drawn(actor('v')).size).toBe(64);
    expect([...drawn(actor('v', ['smile', 'blink']))].sort()).toHaveLength(64);
  });

  it('are counted once each, with every reason', () => {
    const one = (person: string, reason: string, verdicts: string[]) => ({
      person,
      reason,
      verdicts,
      actions: CHALLENGE,
      shown: [],
      similarity: null,
    });
    const tally = tallyOf([
      one('a', 'verified', ['done', 'done', 'done']),
      one('a', 'no_action', ['done', 'no_action', 'done']),
      one('b', 'mismatch', ['done', 'done', 'done']),
    ]);
    expect(tally).toMatchObject({
      n: 3,
      verified: 1,
      reasons: { no_action: 1, mismatch: 1 },
      byPerson: { a: { n: 2, verified: 1, reasons: { no_action: 1 } }, b: { n: 1, verified: 0 } },
      steps: { n: 9, byAction: { turn_left: { n: 3, done: 2, verdicts: { no_action: 1 } } } },
      rate: { count: 1 },
    });
  });
});
