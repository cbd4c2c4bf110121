import path from 'node:path';
import { type Action, ACTIONS } from '#contracts';
import { numberOf, readCsv } from '../eval/csv.js';
import { UsageError } from '../eval/fault.js';

/** One row: in this span of this file the person shows this. */
export interface Span {
  line: number;
  person: string;
  action: Action | 'neutral';
  file: string;
  fromS: number;
  toS: number;
}

export interface LibraryPerson {
  name: string;
  /** Gestures there is footage of; the others are the person's opt-outs. */
  gestures: Action[];
  spans: Span[];
}

export interface Library {
  people: LibraryPerson[];
  files: string[];
  /** Rows that cannot be played as one gesture, with the reason. */
  leftOut: { line: number; why: string }[];
}

const GESTURES_MIN = 2;
/** A gesture shorter than this is a slip of the pen. */
const SPAN_MIN_S = 0.04;

/** `person,action,file,start_s,end_s`. Throws UsageError with file and line, or naming the person. */
export function readLibrary(file: string): Library {
  const name = path.basename(file);
  const spans = readCsv(file, ['person', 'action', 'file', 'start_s', 'end_s']).map((row): Span => {
    const action = row.values.action!;
    if (!isLibraryAction(action))
      throw new UsageError(`${name}:${row.line}: unknown action "${action}" (neutral, ${ACTIONS.join(', ')})`);
    const fromS = numberOf(row, 'start_s', name);
    const toS = numberOf(row, 'end_s', name);
    if (fromS < 0) throw new UsageError(`${name}:${row.line}: starts before the file does`);
    if (toS - fromS < SPAN_MIN_S) throw new UsageError(`${name}:${row.line}: ends before or as it starts`);
    return { line: row.line, person: row.values.person!, action, file: beside(file, row.values.file!), fromS, toS };
  });
  return libraryOf(spans, name);
}

/** Paths count from the list; an absolute one is as good. */
const beside = (list: string, file: string): string =>
  path.isAbsolute(file) ? path.relative(path.resolve(path.dirname(list)), file) : file;

export function libraryOf(spans: readonly Span[], name: string): Library {
  if (spans.length === 0) throw new UsageError(`${name}: no rows`);
  const leftOut: Library['leftOut'] = [];
  const kept = spans.filter((span) => {
    const other = spans.find((s) => s.file === span.file && overlaps(s, span) && cannotShare(s, span));
    if (other) leftOut.push({ line: span.line, why: `overlaps the ${other.action} of line ${other.line}` });
    return !other;
  });
  const people = [...new Set(spans.map((s) => s.person))].map((person): LibraryPerson => {
    const own = kept.filter((s) => s.person === person);
    const gestures = ACTIONS.filter((action) => own.some((s) => s.action === action));
    if (gestures.length < GESTURES_MIN) {
      const shown = gestures.length > 0 ? gestures.join(', ') : 'none';
      const dropped = leftOut.filter(({ line }) => spans.some((s) => s.line === line && s.person === person));
      const because = dropped.map(({ line, why }) => `\n  line ${line} is left out: ${why}`).join('');
      throw new UsageError(
        `${name}: "${person}" needs footage of at least ${GESTURES_MIN} gestures besides neutral, and has ${shown}${because}`,
      );
    }
    return { name: person, gestures, spans: own };
  });
  return { people, files: [...new Set(kept.map((s) => s.file))], leftOut };
}

const overlaps = (a: Span, b: Span): boolean => a.fromS < b.toS && b.fromS < a.toS;

/** Two gestures at once are neither. Blinks are natural in any other, but a turned head is no place for a blink step. */
function cannotShare(other: Span, span: Span): boolean {
  return (
    other.action !== span.action && other.action !== 'neutral' && other.action !== 'blink' && span.action !== 'neutral'
  );
}

const isLibraryAction = (text: string): text is Span['action'] =>
  text === 'neutral' || (ACTIONS as readonly string[]).includes(text);
