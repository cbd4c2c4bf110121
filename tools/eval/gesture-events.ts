import { CAPTURE_LIMITS } from '#contracts';
import { blinks, GESTURE, type Sample, smiled, turned } from '../../apps/inference/src/pipeline/gestures.js';

export type Gesture = 'blink' | 'smile' | 'turn_left' | 'turn_right';

export interface Detected {
  gesture: Gesture;
  fromMs: number;
  toMs: number;
}

/** A step may not last longer: the detectors never see more than this at once. */
const WINDOW_MS = CAPTURE_LIMITS.windowMaxMs;
const SLOT_MS = 1000;

/** The gestures in a whole clip, found by the product's detectors in windows as long as a step can be. */
export function detectGestures(samples: readonly Sample[]): Detected[] {
  const found: Detected[] = [
    ...whenever(samples, 'turn_left', (s) => turned(s, 'left')),
    ...whenever(samples, 'turn_right', (s) => turned(s, 'right')),
    ...whenever(samples, 'smile', (s) => smiled(s, GESTURE.smileHeldMs)),
    ...blinksOf(samples),
  ];
  return found.sort((a, b) => a.fromMs - b.fromMs);
}

/**
 * The frames at which a detector first says yes, looking back over the last six seconds; after each, it starts anew
 * with the frames from there on.
 */
function whenever(samples: readonly Sample[], gesture: Gesture, test: (s: readonly Sample[]) => boolean): Detected[] {
  const found: Detected[] = [];
  let from = 0;
  for (let k = 0; k < samples.length; k++) {
    const { tMs } = samples[k]!;
    while (samples[from]!.tMs < tMs - WINDOW_MS) from++;
    if (!test(samples.slice(from, k + 1))) continue;
    found.push({ gesture, fromMs: tMs, toMs: tMs });
    from = k;
  }
  return found;
}

/** Blinks are judged from what is before and after them: each second is decided inside the six seconds around it. */
function blinksOf(samples: readonly Sample[]): Detected[] {
  const found: Detected[] = [];
  const last = samples.at(-1)?.tMs ?? 0;
  for (let slot = 0; slot <= last; slot += SLOT_MS) {
    const centre = Math.min(Math.max(slot + SLOT_MS / 2, WINDOW_MS / 2), Math.max(WINDOW_MS / 2, last - WINDOW_MS / 2));
    const window = samples.filter((s) => Math.abs(s.tMs - centre) <= WINDOW_MS / 2);
    for (const b of blinks(window))
      if (b.fromMs >= slot && b.fromMs < slot + SLOT_MS) found.push({ gesture: 'blink', ...b });
  }
  return found;
}

const EVENTS = [
  'blink',
  'smile',
  'turn_left',
  'turn_right',
  'turn',
  'neutral',
  'eyes_closed_long',
  'ambiguous',
] as const;
export type EventName = (typeof EVENTS)[number];
export const isEventName = (name: string): name is EventName => (EVENTS as readonly string[]).includes(name);

export interface Label {
  event: EventName;
  fromMs: number;
  toMs: number;
}

/** What a labelled span counts as seen by; nothing may be seen in `neutral`, no blink in `eyes_closed_long`. */
const SEEN_BY: Record<EventName, readonly Gesture[]> = {
  blink: ['blink'],
  smile: ['smile'],
  turn_left: ['turn_left'],
  turn_right: ['turn_right'],
  turn: ['turn_left', 'turn_right'],
  neutral: [],
  eyes_closed_long: [],
  ambiguous: [],
};

export interface Judged {
  hits: Label[];
  misses: Label[];
  /** Neither in a span of their own kind nor in an ambiguous one. */
  falseDetections: Detected[];
  /** Spans of `neutral` and `eyes_closed_long`, and whether they stayed clean. */
  quiet: { label: Label; clean: boolean }[];
}

/** Detections against labels. A detection belongs to a span that it touches, give or take the tolerance. */
export function judgeDetections(detected: readonly Detected[], labels: readonly Label[], toleranceMs: number): Judged {
  const touches = (d: Detected, l: Label): boolean =>
    d.toMs >= l.fromMs - toleranceMs && d.fromMs <= l.toMs + toleranceMs;
  const inside = (d: Detected, l: Label): boolean => d.toMs > l.fromMs && d.fromMs < l.toMs;
  const asked = labels.filter((l) => SEEN_BY[l.event].length > 0);
  const isHit = (l: Label): boolean => detected.some((d) => SEEN_BY[l.event].includes(d.gesture) && touches(d, l));
  return {
    hits: asked.filter(isHit),
    misses: asked.filter((l) => !isHit(l)),
    falseDetections: detected.filter(
      (d) => !labels.some((l) => (l.event === 'ambiguous' || SEEN_BY[l.event].includes(d.gesture)) && touches(d, l)),
    ),
    quiet: labels
      .filter((l) => l.event === 'neutral' || l.event === 'eyes_closed_long')
      .map((label) => ({
        label,
        clean: !detected.some((d) => inside(d, label) && (label.event === 'neutral' || d.gesture === 'blink')),
      })),
  };
}
