import { type Rate, rateOf } from '../eval/statistics.js';
import type { Played } from './attempts.js';

type Counts = Record<string, number>;

interface Group {
  n: number;
  verified: number;
  reasons: Counts;
}

export interface Tally extends Group {
  rate: Rate;
  byPerson: Record<string, Group>;
  steps: { n: number; verdicts: Counts; byAction: Record<string, { n: number; done: number; verdicts: Counts }> };
  /** Different challenges that were drawn. */
  sequences: number;
}

const count = (counts: Counts, name: string): void => {
  counts[name] = (counts[name] ?? 0) + 1;
};

/** All attempts by how they ended; every one that was not verified is under its reason. */
export function tallyOf(played: readonly Played[]): Tally {
  const group = (): Group => ({ n: 0, verified: 0, reasons: {} });
  const all = group();
  const byPerson: Tally['byPerson'] = {};
  const steps: Tally['steps'] = { n: 0, verdicts: {}, byAction: {} };
  for (const p of played) {
    for (const g of [all, (byPerson[p.person] ??= group())]) {
      g.n++;
      if (p.reason === 'verified') g.verified++;
      else count(g.reasons, p.reason);
    }
    for (const [i, verdict] of p.verdicts.entries()) {
      const of = (steps.byAction[p.actions[i]!] ??= { n: 0, done: 0, verdicts: {} });
      steps.n++;
      of.n++;
      if (verdict === 'done') of.done++;
      count(of.verdicts, verdict);
      count(steps.verdicts, verdict);
    }
  }
  const sequences = new Set(played.map((p) => p.actions.join())).size;
  return { ...all, rate: rateOf(all.verified, all.n), byPerson, steps, sequences };
}
