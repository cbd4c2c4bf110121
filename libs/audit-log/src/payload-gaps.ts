import type { PayloadPart } from '#contracts';
import type { LogEntry } from './entry.js';

/** What a `pruned` of a version that did not say so went by: the shortest that was ever a default. */
const DAYS_UNSAID: Readonly<Record<PayloadPart, number>> = { address: 30, origin: 365, similarity: 365 };
const DAY_MS = 24 * 3_600_000;

interface Range {
  from: number;
  to: number;
  /** The entry that says so. */
  by: number;
  /** Of a prune: entries of this UTC day and later keep theirs, those with a time after `at` do not. */
  kept?: { firstDay: string; at: string };
}

export type Gap = { kind: 'accounted' } | { kind: 'missing' } | { kind: 'early'; firstDay: string; by: number };

/** Which payload is lawfully gone: what an erasure or a prune says, if a signed checkpoint covers the entry that says so. */
export class PayloadGaps {
  private readonly ranges = new Map<string, Range[]>();

  /** Null: it says nothing of payload, or what it says is sound in itself. */
  note(seq: number, entry: LogEntry): string | null {
    const { type, range, subjectPseudonym: subject } = entry;
    if (!range || (type !== 'pruned' && (type !== 'erasure_completed' || subject === null))) return null;
    const { from, to, parts } = range;
    if (from > to || to >= seq) return `entry ${seq} says that payload from ${from} to ${to} is gone: not before it`;
    for (const part of parts) {
      const key = keyOf(part, type === 'pruned' ? null : subject);
      const known = this.ranges.get(key) ?? [];
      this.ranges.set(key, known);
      known.push({ from, to, by: seq, ...(type === 'pruned' ? { kept: keptBy(entry, part) } : {}) });
    }
    return null;
  }

  /** `covered`: how many entries a signed checkpoint covers. What comes after them explains nothing. */
  settle(covered: number): void {
    for (const [key, ranges] of this.ranges) {
      const signed = ranges.filter(({ by }) => by < covered).sort((a, b) => a.from - b.from);
      // How far those before reach, so that looking back ends.
      let reach = -1;
      this.ranges.set(
        key,
        signed.filter((range) => {
          const isNew = range.to > reach || range.kept !== undefined;
          reach = Math.max(reach, range.to);
          return isNew;
        }),
      );
    }
  }

  of(seq: number, part: PayloadPart, { subjectPseudonym: subject, ts, type }: LogEntry): Gap {
    if (subject !== null && this.find(keyOf(part, subject), seq).length > 0) return { kind: 'accounted' };
    const prunes = this.find(keyOf(part, null), seq);
    const isAllowed = ({ kept }: Range): boolean =>
      kept === undefined || ts.slice(0, 10) < kept.firstDay || ts > kept.at || type === 'malformed';
    if (prunes.some(isAllowed)) return { kind: 'accounted' };
    const [first] = prunes;
    return first?.kept ? { kind: 'early', firstDay: first.kept.firstDay, by: first.by } : { kind: 'missing' };
  }

  /** Ranges that hold this entry. Those of prunes and of one person's erasures hardly overlap. */
  private find(key: string, seq: number): Range[] {
    const ranges = this.ranges.get(key) ?? [];
    let [low, high] = [0, ranges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ranges[middle]!.from <= seq) low = middle + 1;
      else high = middle;
    }
    const found: Range[] = [];
    for (let i = low - 1; i >= 0 && i >= low - LOOK_BACK; i--) if (ranges[i]!.to >= seq) found.push(ranges[i]!);
    return found;
  }
}

/** So many prunes of one part may overlap at a place. */
const LOOK_BACK = 64;

const keyOf = (part: PayloadPart, subject: string | null): string => `${part} ${subject ?? ''}`;

function keptBy({ ts, detail }: LogEntry, part: PayloadPart): NonNullable<Range['kept']> {
  const said = detail?.days;
  const days = typeof said === 'number' && said >= 1 ? said : DAYS_UNSAID[part];
  const since = new Date(new Date(ts).getTime() - days * DAY_MS);
  return { firstDay: Number.isNaN(since.getTime()) ? '' : since.toISOString().slice(0, 10), at: ts };
}
