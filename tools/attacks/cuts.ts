import path from 'node:path';
import type { Action } from '#contracts';
import { numberOf, readCsv } from '../eval/csv.js';
import { UsageError } from '../eval/fault.js';
import { type EventName, isEventName } from '../eval/gesture-events.js';

/** A labelled span of a clip. */
export interface LabelledSpan {
  person: string;
  file: string;
  event: EventName;
  fromS: number;
  toS: number;
}

/** A stretch of a clip that shows one step as a person answers it: at rest, the gesture, and a little after it. */
export interface Cut {
  person: string;
  file: string;
  action: Action;
  /** Filmed the other way round: a turn to one side, seen as the turn to the other. */
  mirrored: boolean;
  fromS: number;
  toS: number;
  /** Where the gesture begins, for whoever looks it up. */
  gestureS: number;
}

export interface Cuts {
  cuts: Cut[];
  leftOut: (LabelledSpan & { why: LeftOut })[];
}

export type LeftOut =
  'overlaps another gesture' | 'no rest before it' | 'fewer than two blinks in 6 s' | 'side not labelled';

const LEAD_S = 1.2;
/** Shorter than this there is no rest to speak of, given how exact labels are. */
const LEAD_MIN_S = 0.4;
const TAIL_S = 0.5;
/** Distance kept from another gesture: its label may be off by as much. */
const MARGIN_S = 0.1;
/** A step is six seconds; a client stops a little before. */
const STEP_S = 5.2;
const BLINKS_MIN = 2;
const EYES_OPEN_S = 0.2;

/** `file,event,start_s,end_s` and, where several files show one person, `person`. Throws UsageError with the line. */
export function readSpans(file: string): LabelledSpan[] {
  const name = path.basename(file);
  return readCsv(file, ['file', 'event', 'start_s', 'end_s'], ['person']).map((row) => {
    const event = row.values.event!;
    if (!isEventName(event)) throw new UsageError(`${name}:${row.line}: unknown event "${event}"`);
    const [fromS, toS] = [numberOf(row, 'start_s', name), numberOf(row, 'end_s', name)];
    if (toS < fromS) throw new UsageError(`${name}:${row.line}: ends before it starts`);
    const source = row.values.file!;
    return { person: row.values.person || source, file: source, event, fromS, toS };
  });
}

/** Steps of every labelled gesture that can be one; the others with the reason. */
export function cutsOf(spans: readonly LabelledSpan[]): Cuts {
  const out: Cuts = { cuts: [], leftOut: [] };
  /** Blinks that an earlier cut shows. */
  const shown = new Set<LabelledSpan>();
  for (const span of [...spans].sort((a, b) => a.fromS - b.fromS)) {
    if (span.event === 'neutral' || span.event === 'ambiguous' || span.event === 'eyes_closed_long' || shown.has(span))
      continue;
    const found = span.event === 'blink' ? blinkCut(span, spans, shown) : cutOf(span, spans);
    if (typeof found === 'string') out.leftOut.push({ ...span, why: found });
    else out.cuts.push(...bothSides(found));
  }
  return out;
}

/** Blinks are natural in any step, and rest is no gesture. */
const othersOf = (span: LabelledSpan, spans: readonly LabelledSpan[]): LabelledSpan[] =>
  spans.filter((s) => s.file === span.file && s !== span && s.event !== 'neutral' && s.event !== 'blink');

/** From when there is rest up to the gesture, and until when nothing else begins; or why there is no such stretch. */
function around(span: LabelledSpan, spans: readonly LabelledSpan[]): { fromS: number; nextS: number } | LeftOut {
  const others = othersOf(span, spans);
  if (others.some((o) => o.fromS < span.toS && span.fromS < o.toS)) return 'overlaps another gesture';
  const before = others.filter((o) => o.toS <= span.fromS).map((o) => o.toS + MARGIN_S);
  const fromS = Math.max(0, span.fromS - LEAD_S, ...before);
  if (span.fromS - fromS < LEAD_MIN_S) return 'no rest before it';
  return { fromS, nextS: Math.min(...others.filter((o) => o.fromS >= span.toS).map((o) => o.fromS - MARGIN_S)) };
}

function cutOf(span: LabelledSpan, spans: readonly LabelledSpan[]): Cut | LeftOut {
  const { person, file, event } = span;
  if (event !== 'smile' && event !== 'turn_left' && event !== 'turn_right') return 'side not labelled';
  const room = around(span, spans);
  if (typeof room === 'string') return room;
  const toS = Math.min(Math.max(span.toS, Math.min(span.toS + TAIL_S, room.nextS)), room.fromS + STEP_S);
  return { person, file, action: event, mirrored: false, fromS: room.fromS, toS, gestureS: span.fromS };
}

function blinkCut(span: LabelledSpan, spans: readonly LabelledSpan[], shown: Set<LabelledSpan>): Cut | LeftOut {
  const room = around(span, spans);
  if (typeof room === 'string') return room;
  const endS = Math.min(room.fromS + STEP_S, room.nextS);
  const blinks = spans.filter(
    (s) => s.file === span.file && s.event === 'blink' && s.fromS >= span.fromS && s.toS + EYES_OPEN_S <= endS,
  );
  if (blinks.length < BLINKS_MIN) return 'fewer than two blinks in 6 s';
  for (const blink of blinks) shown.add(blink);
  const toS = Math.min(endS, Math.max(...blinks.map((b) => b.toS)) + TAIL_S);
  const { person, file } = span;
  return { person, file, action: 'blink', mirrored: false, fromS: room.fromS, toS, gestureS: span.fromS };
}

const OTHER_SIDE: Partial<Record<Action, Action>> = { turn_left: 'turn_right', turn_right: 'turn_left' };

/** Mirrored, each turn is also one to the other side. */
function bothSides(cut: Cut): Cut[] {
  const other = OTHER_SIDE[cut.action];
  return other ? [cut, { ...cut, action: other, mirrored: true }] : [cut];
}
