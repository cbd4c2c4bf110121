import type { ModelManifest } from '#contracts';
import type { Command } from './command.js';
import { loadModels, type Models } from './faces.js';
import { GROUP_HELP, GROUP_OPTIONS, Groups, groupsText } from './groups.js';
import { COMPARISON_HELP, COMPARISON_OPTIONS, comparisonOptions } from './options.js';
import { percent, rateText, type Section } from './report.js';
import { type Scored, scoreAll } from './scoring.js';
import { auc, eer, ratesAt, type Scores, thresholdAt } from './statistics.js';

const FALSE_MATCH_RATES = ['1e-2', '1e-3', '1e-4', '1e-5'] as const;
/** What the shipped threshold is to keep in every group. */
const GROUPS_FMR = 1e-4;
/** False matches below which the position of a threshold is mostly chance. */
const FALSE_MATCHES_MIN = 10;

interface AtRate {
  threshold: number;
  fnmr: number;
  /** Exact bounds of the FNMR. */
  lower95: number;
  upper95: number;
  falseMatches: number;
  /** What the false match rate at this threshold may be, given how many comparisons saw it. */
  fmrUpper95: number;
  /** False when the comparisons are too few to place the threshold. */
  supported: boolean;
}

export const match: Command = {
  name: 'match',
  what: 'how well faces of one person and of two are told apart',
  help: `npm run -s eval -- match --images DIR --pairs FILE.csv --out R.json

False non-match rate (FNMR) at fixed false match rates (FMR), ten-fold accuracy, EER and AUC of the product's pipeline
and models on your own pictures. FILE.csv: fileA,fileB,same[,fold], files relative to DIR, same 1 or 0.

${COMPARISON_HELP}${GROUP_HELP}
A genuine pair without a face in both pictures counts as refused; an impostor pair without is left out.`,
  options: { ...COMPARISON_OPTIONS, ...GROUP_OPTIONS },
  async run(values) {
    const options = comparisonOptions(values);
    const groups = Groups.from(values);
    let models: Models | undefined;
    const scored = await scoreAll(async () => (models = await loadModels(values.models)), options, groups?.add);
    const threshold = models!.manifest.thresholds.match;
    const report = { ...matchReport(scored, threshold), msPerImage: lowerQuartile(models!.spent) };
    const byGroup = groups && groupsText(groups, scored.scores, threshold.value, GROUPS_FMR);
    return {
      report: { ...report, groups: byGroup && { labelled: groups.labelled, figures: byGroup.figures, worst: byGroup.worst } },
      section: { ...matchSection(report), ...(byGroup ? { more: byGroup, notes: byGroup.notes } : {}) },
      modelDigest: models!.manifest.digest,
    }; // prettier-ignore
  },
};

type MatchReport = ReturnType<typeof matchReport> & { msPerImage: number | null };

/** Of times on a machine that others use, the lower quartile tells most about the work itself. */
function lowerQuartile(values: readonly number[]): number | null {
  return [...values].sort((a, b) => a - b)[values.length >> 2] ?? null;
}

function matchReport(scored: Scored, threshold: ModelManifest['thresholds']['match']) {
  const { scores, accuracy } = scored;
  return {
    protocol: scored.protocol,
    n: scores.genuine.length + scores.impostor.length,
    genuine: scores.genuine.length,
    genuineFrom: scored.genuineFrom,
    impostor: scores.impostor.length,
    impostorFrom: scored.impostorFrom,
    images: scored.images,
    people: scored.people,
    undetected: scored.undetected.length,
    undetectedFiles: scored.undetected.slice(0, 100),
    accuracy10Fold: accuracy?.accuracy ?? null,
    accuracyFolds: accuracy,
    eer: eer(scores),
    auc: auc(scores),
    fmr: Object.fromEntries(FALSE_MATCH_RATES.map((rate) => [rate, atRate(scores, Number(rate))])),
    atManifestThreshold: { ...threshold, ...ratesAt(scores, threshold.value) },
  };
}

function atRate(scores: Scores, fmr: number): AtRate | null {
  const threshold = thresholdAt(scores.impostor, fmr);
  if (threshold === null || scores.genuine.length === 0) return null;
  const { falseMatch, falseNonMatch } = ratesAt(scores, threshold);
  return {
    threshold,
    fnmr: falseNonMatch.rate ?? 0,
    lower95: falseNonMatch.lower95,
    upper95: falseNonMatch.upper95,
    falseMatches: falseMatch.count,
    fmrUpper95: falseMatch.upper95,
    supported: fmr * scores.impostor.length >= FALSE_MATCHES_MIN,
  };
}

function matchSection(r: MatchReport): Section {
  const at = r.atManifestThreshold;
  const accuracy = r.accuracyFolds;
  return {
    paragraphs: [
      `${capital(r.protocol)}. ${r.images} images, ${r.undetected} without a face found; ${r.people} people compared. ` +
        `Genuine: ${r.genuine} comparisons (${r.genuineFrom}). Impostor: ${r.impostor} (${r.impostorFrom}).` +
        (r.msPerImage === null ? '' : ` Decode to embedding: ${r.msPerImage.toFixed(1)} ms an image (lower quartile).`),
      [
        accuracy?.accuracy == null
          ? null
          : `Accuracy over ${accuracy.folds} folds disjoint by person: ${percent(accuracy.accuracy)}` +
            (accuracy.standardError === null ? '' : ` ± ${percent(accuracy.standardError)} (standard error)`) +
            `, ${accuracy.tested} pairs tested, ${accuracy.testedGenuine} of them genuine.`,
        r.eer === null ? null : `EER ${percent(r.eer)}.`,
        r.auc === null ? null : `AUC ${r.auc.toFixed(5)}.`,
      ]
        .filter((s) => s !== null)
        .join(' '),
      `At the shipped threshold ${at.value} (\`${at.id}\`): FMR ${rateText(at.falseMatch)}, ` +
        `FNMR ${rateText(at.falseNonMatch)}.`,
    ],
    table: {
      head: ['FMR', 'threshold', 'FNMR', '95 % bounds', 'false matches', 'FMR at most (95 %)'],
      rows: Object.entries(r.fmr).map(([rate, a]) =>
        a
          ? [
              rate,
              a.threshold.toFixed(5) + (a.supported ? '' : ' (too few impostor comparisons)'),
              percent(a.fnmr),
              `${percent(a.lower95)} – ${percent(a.upper95)}`,
              `${a.falseMatches}`,
              a.fmrUpper95.toExponential(1),
            ]
          : [rate, '–', '–', '–', '–', '–'],
      ),
    },
  };
}

const capital = (s: string): string => s.charAt(0).toUpperCase() + s.slice(1);
