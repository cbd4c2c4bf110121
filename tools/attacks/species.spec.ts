import { type Action, ACTIONS } from '#contracts';
import { apply } from './effects.js';
import { durationOf, type Film } from './film.js';
import type { Actor, Take } from './footage.js';
import { randomOf } from './random.js';
import { SPECIES } from './species.js';
import type { Cast } from './strategies.js';

const film = (name: string): Film =>
  Array.from({ length: 60 }, (_, i) => ({ tMs: i * 40, jpeg: Buffer.from(`${name}:${i}`) }));

function actor(name: string): Actor {
  const take = (action: string): Take[] => [
    {
      id: action,
      footage: () =>
        Promise.resolve({ film: film(`${name}-${action}`), gesture: { fromMs: 1000, toMs: 2000 }, joins: 0 }),
    },
  ];
  return {
    name,
    gestures: ACTIONS,
    takes: {
      neutral: take('neutral'),
      blink: take('blink'),
      turn_left: take('turn_left'),
      turn_right: take('turn_right'),
      smile: take('smile'),
    },
  };
}

const cast: Cast = {
  victim: actor('v'),
  others: [actor('o')],
  fps: 20,
  variant: 3,
  stage: {
    faceOf: () => Promise.resolve({ x: 0.5, y: 0.4, eyeSpan: 0.2 }),
    picturesOf: () =>
      Promise.resolve({ rest: film('rest')[0]!, height: film('height')[0]!, enough: film('enough')[0]! }),
  },
};
const CHALLENGE: Action[] = ['smile', 'turn_left', 'blink'];
const films = (name: string, challenge = CHALLENGE): Promise<Film[]> => {
  const answer = SPECIES[name]!.prepare(cast, randomOf('t'), challenge);
  return Promise.all(challenge.map((action, i) => answer(action, i).film()));
};
const shows = (f: Film): string[] => [...new Set(f.map(({ jpeg }) => Buffer.from(jpeg).toString().split(':')[0]!))];

describe('species of attack', () => {
  it.each(Object.keys(SPECIES))(
    '%s gives three films a camera can send, the same again by the same seed',
    async (name) => {
      const made = await films(name);
      for (const f of made) {
        expect(f.length).toBeGreaterThan(10);
        expect(f.length).toBeLessThanOrEqual(120);
        expect(durationOf(f)).toBeLessThan(6_000);
        expect(f.every((frame, i) => i === 0 || frame.tMs > f[i - 1]!.tMs)).toBe(true);
      }
      expect(await films(name)).toEqual(made);
    },
  );

  it.each(['still', 'still_moved', 'photo_turned', 'photo_bent', 'pen', 'patch', 'patch_thin'])(
    '%s is one photo',
    async (name) => {
      // prettier-ignore
      for (const f of await films(name)) expect(new Set(f.map(({ jpeg }) => jpeg)).size).toBe(1);
    },
  );

  it('cut_over is two photos', async () => {
    for (const f of await films('cut_over')) expect(shows(f)).toEqual(['rest', 'enough']);
    const open = (await films('cut_over'))[0]!;
    const hidden = (await films('cut_hidden'))[0]!;
    expect(shows(hidden)).toEqual(['rest', 'enough']);
    expect(hidden.length).toBeLessThan(open.length);
  });

  it('wrong_order is never the right one, even where all three are alike', async () => {
    for (const challenge of [
      CHALLENGE,
      ['smile', 'smile', 'blink'],
      ['blink', 'blink', 'blink'],
      ['blink', 'blink', 'blink', 'smile', 'blink', 'smile'],
    ] as Action[][]) {
      const shown = (await films('wrong_order', challenge)).map((f) => shows(f)[0]!.slice(2));
      expect(shown).not.toEqual(challenge);
    }
  });

  it('mirrored turns the footage of the other side over', async () => {
    const [, turn] = await films('mirrored');
    expect(shows(turn!)).toEqual(['v-turn_right']);
    expect(turn!.every((f) => f.effects?.some((e) => e.kind === 'mirror'))).toBe(true);
  });
});

describe('effects', () => {
  const picture = { width: 40, height: 30, data: Uint8Array.from({ length: 3600 }, (_, i) => (i * 7) % 251) };
  const face = { x: 0.5, y: 0.4, eyeSpan: 0.2 };

  it('a photo held straight is the picture; turned, its far side is narrower', async () => {
    const straight = await apply(picture, { kind: 'photo', face, pose: {} });
    const inner = (p: Uint8Array): number[] => [...p.subarray((15 * 40 + 10) * 3, (15 * 40 + 30) * 3)];
    const off = inner(straight.data).map((v, i) => Math.abs(v - inner(picture.data)[i]!));
    expect(Math.max(...off)).toBeLessThanOrEqual(1);
    const turned = await apply(picture, { kind: 'photo', face, pose: { yaw: 50 } });
    const grey = (p: Uint8Array): number => p.filter((v) => v === 110).length;
    expect(grey(turned.data)).toBeGreaterThan(grey(straight.data) + 300);
  });

  it('mirroring twice changes nothing, and every effect keeps the size', async () => {
    const once = await apply(picture, { kind: 'mirror' });
    expect(once.data).not.toEqual(picture.data);
    expect((await apply(once, { kind: 'mirror' })).data).toEqual(picture.data);
    const cover = { dx: 0, dy: 0, width: 1, height: 0.4, roll: 0, colour: [1, 2, 3] as const };
    const covered = await apply(picture, { kind: 'cover', face, cover });
    expect([...covered.data.subarray((16 * 40 + 20) * 3, (16 * 40 + 20) * 3 + 3)]).toEqual([1, 2, 3]);
    const screen = { period: 3, angle: 20, phase: 0, strength: 0.1, gamma: 1, blur: 0.5, border: 0.1 };
    expect((await apply(picture, { kind: 'screen', screen })).data).toHaveLength(3600);
    expect((await apply(picture, { kind: 'reencode', quality: 40 })).data).toHaveLength(3600);
  });
});
