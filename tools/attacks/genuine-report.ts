import { type Action, ACTIONS } from '#contracts';
import { percent, type Section } from '../eval/report.js';
import { type Rate, rateOf } from '../eval/statistics.js';
import { reasonsOf } from './document.js';
import { fits, SCENES } from './scenes.js';
import { type GenuineOptions, type GenuineResult, type GenuineStep, idOf } from './genuine.js';

export interface GenuineBar {
  what: string;
  min: number;
  rate: Rate;
  met: boolean;
}

/** What is a strike and an alarm: no genuine film may end so. */
const SUSPICIONS: readonly string[] = ['not_one_person', 'discontinuous', 'spoof'];
/** The least that a single person's attempts may reach, whatever the others do. */
const PERSON_MIN = 0.8;

const TURNS_AND_SMILES: readonly Action[] = ['turn_left', 'turn_right', 'smile'];

/** What genuine people must reach. A bar without a single step is not met. */
export function genuineBars({ steps, attempts }: GenuineResult): GenuineBar[] {
  const bar = (what: string, min: number, all: readonly boolean[]): GenuineBar => {
    const rate = rateOf(all.filter(Boolean).length, all.length);
    return { what, min, rate, met: rate.rate !== null && rate.rate >= min };
  };
  const done = (test: (s: GenuineStep) => boolean): boolean[] => steps.filter(test).map((s) => s.verdict === 'done');
  const moves = (s: GenuineStep): boolean => TURNS_AND_SMILES.includes(s.cut.action);
  const people = [...new Set(attempts.map((a) => a.person))];
  const verified = (of: readonly { reason: string }[]): boolean[] => of.map((a) => a.reason === 'verified');
  const shares = people.map((p) => verified(attempts.filter((a) => a.person === p)));
  const enough = shares.filter((own) => own.filter(Boolean).length >= PERSON_MIN * own.length).length;
  const ends = [...steps.map((s) => s.verdict), ...attempts.map((a) => a.reason)];
  return [
    bar('turn and smile steps done, 20 pictures a second and more', 0.97, done((s) => moves(s) && s.camera.fps >= 20)),
    bar('turn and smile steps done, 15 pictures a second', 0.93, done((s) => moves(s) && s.camera.fps < 20)),
    bar('blink steps done', 0.9, done((s) => s.cut.action === 'blink')),
    bar('attempts of three steps verified', 0.95, verified(attempts)),
    bar(`people of whose attempts ${PERSON_MIN * 100} % are verified`, 1, people.map((_, i) => i < enough)),
    bar(`steps and attempts not refused as ${SUSPICIONS.join(', ')}`, 1, ends.map((e) => !SUSPICIONS.includes(e))),
  ]; // prettier-ignore
}

const countsOf = (names: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
};

const shareOf = ({ count, n, rate, lower95, upper95 }: Rate): string[] =>
  rate === null ? [`${n}`, '–', '–', '–'] : [`${n}`, `${count}`, percent(rate), `${percent(lower95)} – ${percent(upper95)}`]; // prettier-ignore

/** Bars, steps by gesture and rate, attempts by rate, and each cut that failed somewhere. */
export function genuineSections(result: GenuineResult, o: GenuineOptions): { title: string; section: Section }[] {
  const { steps, attempts, leftOut, tooFewGestures } = result;
  const cuts = new Set(steps.map((s) => s.cut));
  const rates = [...o.rates].sort((a, b) => b - a);
  const kinds = o.scenes.flatMap((scene) =>
    ACTIONS.filter((action) => fits(scene, action)).map((action) => ({ scene, action })),
  );
  const stepRows = kinds.flatMap(({ scene, action }) =>
    rates.map((fps) => {
      const own = steps.filter((s) => s.cut.action === action && s.camera.fps === fps && s.camera.scene === scene);
      const done = own.filter((s) => s.verdict === 'done').length;
      const other = countsOf(own.map((s) => s.verdict).filter((v) => v !== 'done'));
      const different = new Set(own.map((s) => s.cut)).size;
      return [
        `${scene}: ${action} steps`,
        `${fps}`,
        `${different}`,
        ...shareOf(rateOf(done, own.length)),
        reasonsOf(other),
      ];
    }),
  );
  const attemptKinds = o.scenes.flatMap((scene) => rates.map((fps) => ({ scene, fps })));
  const attemptRows = attemptKinds.map(({ scene, fps }) => {
    const own = attempts.filter((a) => a.fps === fps && a.scene === scene);
    const reasons = own.map((a) => a.reason).filter((r) => r !== 'verified');
    const rate = rateOf(own.length - reasons.length, own.length);
    return [`${scene}: attempts`, `${fps}`, '', ...shareOf(rate), reasonsOf(countsOf(reasons))];
  });
  const measured: Section = {
    paragraphs: [
      'Every labelled gesture cut into a step (up to 1.2 s of rest before it, 0.5 s after it) and filmed by ' +
        `${o.cameras} cameras a rate, drawn from JPEG quality 60–90, 320–1280 pixels (smaller footage is enlarged) and ` +
        `light ±30 %, seed ${o.seed}; footage with fewer pictures a second is taken as it is. Each turn is also shown ` +
        'mirrored, as the other side. Attempts are all orders of three gestures that a person has, each by one camera, ' +
        'in one scene (gestures that it does not fit: as they are), against a template of another filming of the same footage. The filmings of one cut are alike, so the bounds, ' +
        `which treat them as independent, are optimistic: there are ${cuts.size} different cuts of ` +
        `${new Set(steps.map((s) => s.cut.person)).size} people.`,
      `Scenes: ${o.scenes.map((scene) => `${scene}, ${SCENES[scene]}`).join('; ')}.`,
    ],
    table: {
      head: ['what', 'fps', 'cuts', 'n', 'done or verified', 'share', '95 % bounds', 'ended as'],
      rows: [...stepRows, ...attemptRows],
    },
    notes: [
      ...genuineBars(result).map(barText),
      ...Object.entries(countsOf(leftOut.map((l) => `${l.event}: ${l.why}`))).map(([what, n]) => `left out, ${what}: ${n}`),
      ...(tooFewGestures.length > 0 ? [`no attempts, fewer than two gestures: ${tooFewGestures.join(', ')}`] : []),
    ], // prettier-ignore
  };
  const failing = [...cuts].flatMap((cut) => {
    const own = steps.filter((s) => s.cut === cut);
    const failed = own.filter((s) => s.verdict !== 'done');
    if (failed.length === 0) return [];
    const where = reasonsOf(countsOf(failed.map((s) => `${s.verdict} (${s.camera.scene}, ${s.camera.fps}/s)`)));
    return [[idOf(cut), cut.action, `${own.length}`, `${own.length - failed.length}`, where]];
  });
  const failures: Section = {
    paragraphs: ['Each cut that failed with some camera, by file and second.', failing.length === 0 ? 'None did.' : ''],
    ...(failing.length > 0 ? { table: { head: ['cut', 'asked', 'n', 'done', 'ended as'], rows: failing } } : {}),
  };
  return [
    { title: 'Genuine people', section: measured },
    { title: 'Genuine steps that failed', section: failures },
  ];
}

export const barText = ({ what, min, rate, met }: GenuineBar): string =>
  `${what}: ${rate.count} of ${rate.n}${rate.rate === null ? '' : ` (${percent(rate.rate)})`}, at least ${min * 100} % – ${met ? 'met' : 'NOT met'}`;

export function failureText({ cut, camera, verdict }: GenuineStep): string {
  const { side, quality, gain } = camera.look;
  const how = `${camera.scene}, ${camera.fps}/s, ${side} pixels, quality ${quality}, light × ${gain.toFixed(2)}`;
  return `${idOf(cut)}: ${cut.action} ${verdict} (${how})`;
}
