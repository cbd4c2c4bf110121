import { ACTIONS, CHALLENGE_NEW_STEPS, CHALLENGE_STEPS, challengeSteps, GUARD_LIMITS, shownStepsMax } from '#contracts';
import { ATTEMPT } from '../../apps/inference/src/pipeline/judge-attempt.js';
import { percent, type Section, type Table, tableText } from '../eval/report.js';
import type { Bar } from './species.js';
import type { SpeciesResult } from './suite.js';
import { clopperPearson } from '../eval/statistics.js';

const DRAWS_A_DAY = GUARD_LIMITS.freePerDay + GUARD_LIMITS.unchargedPerDay;

const sequencesOf = (gestures: number): number => gestures ** challengeSteps(gestures);

/** How often recordings fit one draw, by how many gestures somebody makes. */
export function boundsTable(): Table {
  const drawn = (gestures: number, steps: number, name: string): string[] => {
    const one = gestures ** -steps;
    const clips = Array.from({ length: gestures - 1 }, (_, i) => percent(((i + 1) / gestures) ** steps));
    return [name, `${steps}`, `${gestures ** steps}`, percent(one), clips.join(', '), percent(1 - (1 - one) ** DRAWS_A_DAY)]; // prettier-ignore
  };
  const counts = [4, 3, 2];
  return {
    head: [
      'gestures of the person',
      'steps',
      'sequences',
      'one recorded order fits',
      'clips of one, two, three gestures fit',
      `one recorded order in ${DRAWS_A_DAY} draws of a day`,
    ],
    rows: [
      ...counts.map((m) => drawn(m, challengeSteps(m), `${m}`)),
      ...counts.slice(1).map((m) => drawn(m, CHALLENGE_STEPS, `${m}, short challenges`)),
    ],
  };
}

const PREFACE = `# Attacks

Written by \`npm run attacks\`, a section a run; not typed by hand. Everything is made from the committed footage
(\`test/media\`) and judged by the product's own functions and threshold: each attempt answers three steps (four or six of
people who make three or two gestures) that are revealed one at a time. Footage is of two men, so the rows tell how a *kind* of
attack fares, not how all faces would. Attempts of one species share filmings (column "steps": different steps that were
analysed for it), so the bounds, exact (Clopper–Pearson, 95 %, one-sided upper 3/n for zero of n), are those of independent
attempts and optimistic.
\`npm run -s eval -- attempt\` measures the same on footage of your own.

**One photo is enough for whoever holds the password and can inject frames.** A single still picture of the person, warped
by program into the asked gestures and fed in as a camera's frames, was verified 12 of 12 times through the real API (review
of November 2026, core 1). No species below plays it yet; the rows with photos are of photos held still, turned, bent or
covered, and say nothing about it.

**What a replay gains, and what leaving does.** The figures of "Passes where the draw fits" are of independent draws. The fewer
gestures somebody makes, the more steps he has, so that there are ${sequencesOf(ACTIONS.length)} sequences at least; who asks for short
challenges (\`shortChallenges\`, unless the operator forbids it) has three steps again.

${tableText(boundsTable())}

Whoever fails is charged: three strikes lock. Whoever *leaves* at the first action that his clips do not fit is not charged if he
just lets the attempt expire, and gains nothing by it: until an attempt has been decided on its faces or 15 minutes have passed,
the next one begins with the actions already shown, all of those of the first draw among them, and ends with two new ones at
least, so the misfit comes again (up to ${ACTIONS.slice(1)
  .map((_, i) => shownStepsMax(challengeSteps(ACTIONS.length - i)) + CHALLENGE_NEW_STEPS)
  .join(', ')} steps with four, three and two gestures). All tries of 15 minutes together are worth one
draw (\`libs/guard/src/challenge.spec.ts\`, "whoever leaves ten times", "a late misfit"). What remains is one draw in 15
minutes, as often as begins are let through: ten expiries and thirty captures of poor quality a day, the last column; each is
an event in the record (\`expired\`, \`failed\`). With clips of two or three gestures a draw fits within hours: gestures slow an
attacker with recordings, they do not stop him.
`;

const TITLES: Readonly<Record<Bar, string>> = {
  none: 'Must never pass',
  order: 'Passes where the draw fits',
  listed: 'Passes: what gestures do not stop',
};

const EXPLAINED: Readonly<Record<Bar, string>> = {
  none: 'One accepted attempt in this table is a fault.',
  order:
    'The recording answers one of 64 challenges; whoever replays it waits for that one. Three failures lock. Frames with the same bytes are refused before that.',
  listed:
    'Whoever can switch clean clips live, as a virtual camera does, answers every challenge: gestures are no defence against that. The rows are here so that nobody claims more than this.',
};

/** One section a bar, with a row a species; and what a stricter anti-spoof would cost, where both sides were played. */
export function sectionsOf(results: readonly SpeciesResult[], how: string): { title: string; section: Section }[] {
  const bars = (Object.keys(TITLES) as Bar[]).flatMap((bar) => {
    const rows = results.filter((r) => r.bar === bar);
    return rows.length === 0 ? [] : [{ title: TITLES[bar], section: sectionOf(rows, bar, how) }];
  });
  const [good, displayed] = ['live_switch', 'recapture'].map((name) => results.find((r) => r.name === name));
  return good && displayed
    ? [...bars, { title: 'Recapture: the trade-off', section: tradeOff(good, displayed) }]
    : bars;
}

const LIMITS = [0.1, ATTEMPT.liveMin, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/** The same attempts at other limits of the anti-spoof. */
function tradeOff(good: SpeciesResult, displayed: SpeciesResult): Section {
  const shareOf = ({ lives, tally }: SpeciesResult, limit: number): string => {
    const passed = lives.filter((live) => live >= limit).length;
    return `${passed} of ${tally.n} (${percent(passed / tally.n)})`;
  };
  const rows = LIMITS.map((limit) => [
    `${limit}${limit === ATTEMPT.liveMin ? ' (in use)' : ''}`,
    shareOf(displayed, limit),
    shareOf(good, limit),
  ]);
  return {
    paragraphs: [
      'Attempts that would be accepted if the anti-spoof denied below another median P(live). Good footage is that of ' +
        '`live_switch`, as genuine people film it.',
    ],
    table: { head: ['deny below', 'recaptured, accepted', 'good footage, accepted'], rows },
  };
}

function sectionOf(rows: readonly SpeciesResult[], bar: Bar, how: string): Section {
  const n = rows.reduce((sum, r) => sum + r.tally.n, 0);
  const verified = rows.reduce((sum, r) => sum + r.tally.verified, 0);
  const sequences = rows.reduce((most, r) => Math.max(most, r.tally.sequences), 0);
  const bound = verified === 0 ? 3 / n : clopperPearson(verified, n).upper;
  return {
    paragraphs: [
      `${EXPLAINED[bar]} ${how}`,
      `Together ${verified} of ${n} accepted (below ${percent(bound)}), over ${sequences} different challenges.`,
    ],
    table: {
      head: ['species', 'n', 'accepted', '95 % bound', 'steps', 'what', 'ended as'],
      rows: rows.map(({ name, what, tally, steps }) => [
        `\`${name}\``,
        `${tally.n}`,
        `${tally.verified}`,
        tally.verified === 0
          ? `< ${percent(3 / tally.n)}`
          : `${percent(tally.rate.lower95)} – ${percent(tally.rate.upper95)}`,
        `${steps}`,
        what,
        reasonsOf(tally.reasons),
      ]),
    },
  };
}

export const reasonsOf = (reasons: Readonly<Record<string, number>>): string =>
  Object.entries(reasons)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, k]) => `${reason} ${k}`)
    .join(', ') || '–';

/** The document with the preface of this program before its sections. */
export function withPreface(document: string): string {
  const sections = document.indexOf('<!-- eval:begin');
  return sections < 0 ? PREFACE : `${PREFACE}\n${document.slice(sections)}`;
}
