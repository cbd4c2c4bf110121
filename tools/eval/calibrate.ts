import path from 'node:path';
import type { Command } from './command.js';
import { loadModels, type Models } from './faces.js';
import { UsageError } from './fault.js';
import { type GroupFigures, GROUP_HELP, GROUP_OPTIONS, Groups, groupsText } from './groups.js';
import { COMPARISON_HELP, COMPARISON_OPTIONS, comparisonOptions, text } from './options.js';
import { percent, rateText } from './report.js';
import { scoreAll, type ScoringOptions } from './scoring.js';
import { clopperPearson, type Rate, ratesAt, type Scores, thresholdAt } from './statistics.js';

/** "Rule of 30": with fewer false matches expected, the threshold's place is uncertain by more than a third. */
const FALSE_MATCHES_WANTED = 30;

export const calibrate: Command = {
  name: 'calibrate',
  what: 'proposes a match threshold for a false match rate on your own pictures',
  help: `npm run -s eval -- calibrate --images DIR --pairs FILE.csv --fmr 1e-4 [--groups FILE.csv --labelled TEXT] [--out FILE.json]

Proposes the threshold for a false match rate, with what the data can prove about it, rates by group, and the entry for
\`thresholds.match\` of the model manifest. Measure the protocol that is used: captures are compared as a template of three
frames against a probe of three (--template 3 --probe 3).

${COMPARISON_HELP}  --fmr RATE       the false match rate that is wanted (1e-4)
${GROUP_HELP}`,
  options: { ...COMPARISON_OPTIONS, ...GROUP_OPTIONS, fmr: { type: 'string' } },
  async run(values) {
    const options = comparisonOptions(values);
    const fmr = Number(text(values, 'fmr') ?? '1e-4');
    if (!(fmr > 0 && fmr < 1)) throw new UsageError('--fmr is not a rate between 0 and 1');
    const groups = Groups.from(values);
    let models: Models | undefined;
    const load = async (): Promise<Models> => (models = await loadModels(values.models));
    const scored = await scoreAll(load, options, groups?.add);
    const proposal = propose(scored.scores, fmr);
    const { falseMatch, falseNonMatch } = ratesAt(scored.scores, proposal.threshold);
    const byGroup = groups && groupsText(groups, scored.scores, proposal.threshold, fmr);
    const warnings = [...proposal.warnings, ...(byGroup ? groupWarnings(groups, byGroup.figures, fmr) : [])];
    const digest = models!.manifest.digest;
    const report = {
      thresholds: { match: entryOf(options, scored.protocol, fmr, proposal.threshold, falseMatch, falseNonMatch) },
      modelDigest: digest,
      fmr,
      threshold: proposal.threshold,
      thresholdBounds95: proposal.bounds95,
      falseMatch,
      falseNonMatch,
      genuineFrom: scored.genuineFrom,
      impostorFrom: scored.impostorFrom,
      undetected: scored.undetected.length,
      groups: byGroup && { labelled: groups.labelled, figures: byGroup.figures, worst: byGroup.worst },
      warnings,
    };
    for (const w of warnings) process.stderr.write(`warning: ${w}\n`);
    return {
      report,
      modelDigest: digest,
      section: {
        paragraphs: [
          `${scored.protocol}: threshold ${proposal.threshold.toFixed(5)} for a false match rate of ${fmr} ` +
            `(95 %: ${bound(proposal.bounds95.lower)} to ${bound(proposal.bounds95.upper)}). ` +
            `FMR ${rateText(falseMatch)}; FNMR ${rateText(falseNonMatch)}.`,
        ],
        ...(byGroup ? { more: byGroup } : {}),
        notes: [...(byGroup?.notes ?? []), ...warnings],
      },
    };
  },
};

const bound = (t: number | null): string => (t === null ? 'not to be told from so few comparisons' : t.toFixed(5));

interface Proposal {
  threshold: number;
  /** Thresholds at which the wanted rate is just above, just below what these comparisons allow at 95 %. */
  bounds95: { lower: number | null; upper: number | null };
  warnings: string[];
}

/** The threshold, and where it might lie as well: the order statistics whose exact bounds still hold the wanted rate. */
export function propose({ genuine, impostor }: Scores, fmr: number): Proposal {
  const n = impostor.length;
  const threshold = thresholdAt(impostor, fmr);
  if (threshold === null || genuine.length === 0) throw new UsageError('there are no genuine or no impostor pairs');
  const highestWith = (test: (count: number) => boolean): number | null => {
    let low = -1;
    let high = n;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (test(middle)) low = middle;
      else high = middle - 1;
    }
    return low < 0 ? null : low;
  };
  const few = highestWith((count) => clopperPearson(count, n).upper <= fmr);
  const many = highestWith((count) => clopperPearson(count, n).lower <= fmr);
  const warnings: string[] = [];
  if (fmr * n < FALSE_MATCHES_WANTED)
    warnings.push(
      `${n} impostor comparisons are few for a rate of ${fmr}: ${Math.ceil(FALSE_MATCHES_WANTED / fmr)} are wanted. ` +
        `0 of ${n} proves only a rate below ${clopperPearson(0, n).upper.toExponential(1)}`,
    );
  return {
    threshold,
    bounds95: {
      lower: many === null ? null : thresholdAt(impostor, (many + 0.5) / n),
      upper: few === null ? null : thresholdAt(impostor, (few + 0.5) / n),
    },
    warnings,
  };
}

function entryOf(
  { template, probe, pairs, images }: ScoringOptions,
  protocol: string,
  fmr: number,
  value: number,
  falseMatch: Rate,
  falseNonMatch: Rate,
) {
  const data = path.basename(pairs ?? images, '.csv');
  const short = template === undefined ? '1x1' : `template-${template}x${probe}`;
  return {
    id: `${short}/fmr-${fmr.toExponential(0)}/${data}`.replace(/[^\w./-]+/g, '-'),
    metric: 'cosine' as const,
    value,
    protocol,
    source:
      `${data}: ${falseMatch.count} false matches of ${falseMatch.n}; ` +
      `${falseNonMatch.count} of ${falseNonMatch.n} genuine refused ` +
      `(at most ${percent(falseNonMatch.upper95)} at 95 %)`,
  };
}

function groupWarnings(groups: Groups, figures: readonly GroupFigures[], fmr: number): string[] {
  const out: string[] = [];
  if (groups.unknown.size > 0) out.push(`${groups.unknown.size} people are in no group`);
  for (const { group, falseMatch } of figures) {
    if (falseMatch.n === 0) out.push(`group ${group}: no impostor comparisons inside the group`);
    else if (falseMatch.lower95 > fmr)
      out.push(`group ${group}: its false match rate is above ${fmr}; strangers inside it are more alike`);
  }
  return out;
}
