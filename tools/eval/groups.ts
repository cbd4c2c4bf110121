import path from 'node:path';
import { readCsv } from './csv.js';
import { UsageError } from './fault.js';
import { personOf } from './pairs.js';
import { percent, rateText, type Table } from './report.js';
import { type Rate, ratesAt, type Scores, sortedScores, thresholdAt } from './statistics.js';

/** False matches that must be expected of a group at a rate before its threshold for that rate says anything. */
const FALSE_MATCHES_MIN = 10;

export const GROUP_OPTIONS = {
  groups: { type: 'string' },
  'first-names': { type: 'string' },
  labelled: { type: 'string' },
} as const;

export const GROUP_HELP = `  --groups FILE    person,group or file,group; rates inside each group. A person is a folder as in FILE.csv, or its last part
  --first-names FILE[,FILE]  name,group instead: the group of a person is that of the first name, the folder's last part up
                   to "_". Of a name that one list gives one group only and none gives another one only; nobody else
  --labelled TEXT  with either: by what the groups were told; printed with the figures, which say nothing without it
`;

/** What is known of the people of one group who are compared with each other. */
export interface GroupFigures {
  group: string;
  /** Of those who were compared, so many are of this group. */
  people: number;
  falseMatch: Rate;
  falseNonMatch: Rate;
  /** Where the false match rate inside the group is the wanted one; null without comparisons. */
  threshold: number | null;
  /** Whether the comparisons are enough to place that threshold. */
  isMeasurable: boolean;
}

/** The group of a person, where it is known. */
export type GroupOf = (person: string) => string | undefined;

/** `person,group` or `file,group`. Throws UsageError with the line. */
export function readGroups(file: string): GroupOf {
  const name = path.basename(file);
  const groupOf = new Map<string, string>();
  for (const { line, values } of readCsv(file, ['group'], ['person', 'file'])) {
    const person = values.person || (values.file ? personOf(values.file) : '');
    if (person === '') throw new UsageError(`${name}:${line}: neither a person nor a file`);
    const before = groupOf.get(person);
    if (before !== undefined && before !== values.group)
      throw new UsageError(`${name}:${line}: ${person} is of the groups ${before} and ${values.group}`);
    groupOf.set(person, values.group!);
  }
  if (groupOf.size === 0) throw new UsageError(`${name}: no groups`);
  return (person) => groupOf.get(person) ?? groupOf.get(path.posix.basename(person));
}

/** Lists of `name,group`: the group that a first name has, where lists agree. Capitals do not count. */
export function readFirstNames(files: readonly string[]): GroupOf {
  const lists = files.map((file) => {
    const groups = new Map<string, Set<string>>();
    for (const { values } of readCsv(file, ['name', 'group'])) {
      const name = values.name!.toLowerCase();
      groups.set(name, (groups.get(name) ?? new Set()).add(values.group!));
    }
    return groups;
  });
  return (person) => {
    const name = path.posix.basename(person).split('_')[0]!.toLowerCase();
    const said = new Set<string>();
    for (const list of lists) {
      const [group, another] = list.get(name) ?? [];
      if (group !== undefined && another === undefined) said.add(group);
    }
    const [group, another] = said;
    return another === undefined ? group : undefined;
  };
}

/** Comparisons by the group that both people belong to. */
export class Groups {
  /** People who are compared, and of whom nothing is known. */
  readonly unknown = new Set<string>();
  private readonly known = new Map<string, { people: Set<string>; genuine: number[]; impostor: number[] }>();

  /** @param labelled how the labels were found, for whoever reads the figures. */
  constructor(
    private readonly groupOf: GroupOf,
    readonly labelled: string,
  ) {}

  static from(values: Record<string, unknown>): Groups | null {
    const { groups, labelled, 'first-names': names } = values;
    if (typeof groups !== 'string' && typeof names !== 'string') {
      if (labelled !== undefined) throw new UsageError('--labelled is for --groups or --first-names');
      return null;
    }
    if (typeof groups === 'string' && typeof names === 'string')
      throw new UsageError('--groups or --first-names, not both');
    if (typeof labelled !== 'string' || labelled.trim() === '')
      throw new UsageError('groups need --labelled: by what it was told who is of which');
    const of = typeof groups === 'string' ? readGroups(groups) : readFirstNames((names as string).split(','));
    return new Groups(of, labelled);
  }

  readonly add = (personA: string, personB: string, same: boolean, score: number): void => {
    const a = this.find(personA);
    const b = this.find(personB);
    if (a === undefined || a !== b) return;
    this.known.get(a)![same ? 'genuine' : 'impostor'].push(score);
  };

  /** Each group at a threshold, and the threshold of its own for a false match rate. */
  figuresAt(threshold: number, fmr: number): GroupFigures[] {
    const sorted = [...this.known].sort(([a], [b]) => (a < b ? -1 : 1));
    return sorted.map(([group, l]) => {
      const scores = sortedScores(l.genuine, l.impostor);
      return {
        group,
        people: l.people.size,
        ...ratesAt(scores, threshold),
        threshold: thresholdAt(scores.impostor, fmr),
        isMeasurable: fmr * scores.impostor.length >= FALSE_MATCHES_MIN,
      };
    });
  }

  private find(person: string): string | undefined {
    const group = this.groupOf(person);
    if (group === undefined) {
      this.unknown.add(person);
      return undefined;
    }
    const own = this.known.get(group) ?? { people: new Set(), genuine: [], impostor: [] };
    this.known.set(group, own);
    own.people.add(person);
    return group;
  }
}

/** Of the groups that can be measured, the one that needs the highest threshold. */
export function worstOf(figures: readonly GroupFigures[]): (GroupFigures & { threshold: number }) | null {
  let worst: (GroupFigures & { threshold: number }) | null = null;
  for (const f of figures)
    if (f.isMeasurable && f.threshold !== null && f.threshold > (worst?.threshold ?? -Infinity))
      worst = { ...f, threshold: f.threshold };
  return worst;
}

/** What groups say of a threshold for a rate: the labels' origin, a row a group, and what the worst one asks for. */
export function groupsText(groups: Groups, all: Scores, threshold: number, fmr: number) {
  const figures = groups.figuresAt(threshold, fmr);
  const worst = worstOf(figures);
  const total = ratesAt(all, threshold).falseMatch;
  const shares = (r: Rate): string =>
    `${percent(r.n / (total.n || 1))}, ${total.count === 0 ? '–' : percent(r.count / total.count)}`;
  const table: Table = {
    head: ['group', 'people', 'FMR inside the group', 'of all pairs, of all false matches', 'FNMR', `threshold for ${fmr}`],
    rows: figures.map((f) => [
      f.group,
      `${f.people}`,
      rateText(f.falseMatch),
      shares(f.falseMatch),
      rateText(f.falseNonMatch),
      f.threshold === null ? '–' : f.threshold.toFixed(5) + (f.isMeasurable ? '' : ' (too few comparisons)'),
    ]),
  }; // prettier-ignore
  const paragraphs = [
    `By group, at the threshold ${threshold}. Labels: ${groups.labelled}. ${groups.unknown.size} people are in no group.`,
  ];
  const notes = worst
    ? [
        `the worst group that can be measured is ${worst.group}: a false match rate of ${fmr} inside it takes the ` +
          `threshold ${worst.threshold.toFixed(5)}, where of all people ${rateText(ratesAt(all, worst.threshold).falseNonMatch)} are refused`,
      ]
    : [
        `no group has the ${FALSE_MATCHES_MIN / fmr} comparisons that a threshold for a false match rate of ${fmr} takes`,
      ];
  return { figures, worst, paragraphs, table, notes };
}
