import sharp from 'sharp';
import type { Action } from '#contracts';
import { type Clip, openClips } from '../eval/clips.js';
import { UsageError } from '../eval/fault.js';
import { durationOf, type Film, type FilmFrame, joined, rateOfFilm, sampled, within } from './film.js';
import { bestJoin, thumbnailsOf } from './joins.js';
import type { Library, LibraryPerson, Span } from './library.js';
import { between, randomOf } from './random.js';

/** Footage of one gesture with what surrounds it, ready to be filmed. Times in ms of the film. */
export interface Footage {
  film: Film;
  gesture: { fromMs: number; toMs: number };
  /** Places where footage goes on from another frame than the one that followed it. */
  joins: number;
}

export interface Take {
  /** Names it in keys and reports: `file@start`. */
  id: string;
  footage: () => Promise<Footage>;
}

/** A person of the library with takes of what the person shows. */
export interface Actor {
  name: string;
  gestures: readonly Action[];
  takes: Readonly<Record<Action | 'neutral', readonly Take[]>>;
}

/** Footage is kept no larger than the product looks at it. */
const SIDE = 640;
const RATE_MAX = 30;
const LEAD_MS = 1_200;
/** With less rest than this in front, rest from elsewhere in the file is put before it. */
const LEAD_MIN_MS = 400;
/** After a blink the eyes open and footage may go on; after the others anything may come. */
const TAIL_MS = { blink: 500, smile: 150, turn_left: 150, turn_right: 150 };
/** Distance kept from a neighbouring gesture, whose label may be off by as much. */
const MARGIN_MS = 100;
/** Blinks this far apart are two answers, not one person who keeps blinking. */
const BLINK_GAP_MS = 1_500;
const BLINK_MS = 5_200;
const BLINK_ENOUGH_MS = 4_500;

export function actorsOf(library: Library, root: string, framesFps: number): Actor[] {
  const clips = openClips(root, library.files, framesFps);
  return library.people.map((person) => actorOf(person, clips));
}

function actorOf(person: LibraryPerson, clips: ReadonlyMap<string, Clip>): Actor {
  const takesOf = (action: Action | 'neutral'): Take[] =>
    windowsOf(person.spans, action).map((w) => {
      const clip = clips.get(w.file)!;
      const rest = person.spans.filter((s) => s.action === 'neutral' && s.file === w.file);
      let loaded: Promise<Footage> | undefined;
      return { id: `${w.file}@${w.gesture.fromS}`, footage: () => (loaded ??= load(clip, w, rest)) };
    });
  const takes = {
    neutral: takesOf('neutral'),
    blink: takesOf('blink'),
    turn_left: takesOf('turn_left'),
    turn_right: takesOf('turn_right'),
    smile: takesOf('smile'),
  };
  return { name: person.name, gestures: person.gestures, takes };
}

export interface Window {
  file: string;
  action: Span['action'];
  fromS: number;
  toS: number;
  gesture: { fromS: number; toS: number };
}

/**
 * What is cut out of the files for an action: each span with the rest around it, up to the next gesture. Blinks that
 * follow each other are one take, as somebody who keeps blinking.
 */
export function windowsOf(spans: readonly Span[], action: Span['action']): Window[] {
  const own = spans.filter((s) => s.action === action).sort((a, b) => a.fromS - b.fromS);
  const windows = own.map((span): Window => {
    const { file, fromS } = span;
    if (action === 'neutral') return { file, action, fromS, toS: span.toS, gesture: span };
    const others = spans.filter((s) => s.file === file && s !== span && s.action !== 'neutral' && s.action !== 'blink');
    const before = others.filter((s) => s.toS <= fromS).map((s) => s.toS + MARGIN_MS / 1000);
    const next = Math.min(...others.filter((s) => s.fromS >= fromS).map((s) => s.fromS - MARGIN_MS / 1000));
    let toS = span.toS;
    if (action === 'blink')
      for (const s of own)
        if (
          s.file === file &&
          s.fromS > fromS &&
          s.fromS - toS <= BLINK_GAP_MS / 1000 &&
          s.toS <= next &&
          s.toS - fromS < (BLINK_MS - LEAD_MS) / 1000
        )
          toS = Math.max(toS, s.toS);
    return {
      file,
      action,
      // A label that begins where another ends keeps its own start.
      fromS: Math.min(fromS, Math.max(0, fromS - LEAD_MS / 1000, ...before)),
      toS: Math.max(toS, Math.min(toS + TAIL_MS[action] / 1000, next)),
      gesture: { fromS, toS },
    };
  });
  if (action !== 'blink') return windows;
  // Whoever blinks on by himself needs no join; a single short blink is played again only where there is no such take.
  const lasting = windows.filter((w) => w.gesture.toS - w.gesture.fromS >= 1);
  return lasting.length > 0 ? lasting : windows;
}

async function load(clip: Clip, window: Window, rest: readonly Span[]): Promise<Footage> {
  const film = await read(clip, window.fromS, window.toS);
  if (film.length < 2) throw new UsageError(`${window.file} has no pictures from ${window.fromS} to ${window.toS} s`);
  const gesture = {
    fromMs: (window.gesture.fromS - window.fromS) * 1000,
    toMs: Math.min((window.gesture.toS - window.fromS) * 1000, durationOf(film)),
  };
  let footage: Footage = { film, gesture, joins: 0 };
  if (window.action === 'neutral') return footage;
  if (gesture.fromMs < LEAD_MIN_MS) footage = await withRest(footage, clip, rest);
  return window.action === 'blink' ? repeated(footage) : footage;
}

async function read(clip: Clip, fromS: number, toS: number): Promise<FilmFrame[]> {
  const film: FilmFrame[] = [];
  for await (const { tMs, bytes } of clip.frames(Math.min(RATE_MAX, clip.nativeFps), fromS, toS))
    film.push({ tMs, jpeg: await sharp(bytes).resize(SIDE, SIDE, { fit: 'inside', withoutEnlargement: true }).jpeg({ quality: 92 }).toBuffer() }); // prettier-ignore
  return film;
}

/** Puts rest of the same file in front, where a frame of it looks like one before the gesture. */
async function withRest(footage: Footage, clip: Clip, rest: readonly Span[]): Promise<Footage> {
  const { film, gesture } = footage;
  const start = await thumbnailsOf(film);
  const early = indices(film, 0, Math.max(gesture.fromMs, film[Math.min(2, film.length - 1)]!.tMs));
  for (const span of rest) {
    const still = await read(clip, span.fromS, span.toS);
    const late = indices(still, LEAD_MIN_MS, Infinity);
    if (late.length === 0) continue;
    const join = bestJoin(await thumbnailsOf(still), late, start, early);
    if (!join) continue;
    const end = still[join.from]!.tMs;
    const lead = within(still, end - LEAD_MS, end);
    const rest = film.slice(join.to + 1);
    const shift = durationOf(lead) + (film[1]!.tMs - film[0]!.tMs) - (rest[0]?.tMs ?? 0);
    return {
      film: joined(lead, rest),
      gesture: { fromMs: Math.max(0, gesture.fromMs + shift), toMs: gesture.toMs + shift },
      joins: footage.joins + 1,
    };
  }
  return footage;
}

/** Goes on from before the blink after it, until the step is nearly over: a person keeps blinking. */
async function repeated(footage: Footage): Promise<Footage> {
  const { film, gesture } = footage;
  const length = durationOf(film);
  if (length >= BLINK_ENOUGH_MS) return footage;
  const pictures = await thumbnailsOf(film);
  const after = indices(film, Math.min(gesture.toMs, length * 0.8), Infinity);
  const before = indices(film, 0, Math.max(gesture.fromMs, length * 0.2));
  const join = bestJoin(pictures, after, pictures, before);
  if (!join || join.to >= join.from) return footage;
  const again = film.slice(join.to + 1, join.from + 1);
  let whole: Film = film.slice(0, join.from + 1);
  let joins = 0;
  while (durationOf(whole) < BLINK_MS && again.length > 1) {
    whole = joined(whole, again);
    joins++;
  }
  return { film: whole, gesture: { fromMs: gesture.fromMs, toMs: durationOf(whole) }, joins };
}

const indices = (film: Film, fromMs: number, toMs: number): number[] =>
  film.flatMap((f, i) => (f.tMs >= fromMs && f.tMs <= toMs ? [i] : []));

/** One performance of a take: begun a little earlier or later, a little faster or slower, as nobody does it twice. */
export function performed({ film, gesture }: Footage, fps: number, name: readonly (string | number)[]): Footage {
  const random = randomOf('performance', ...name);
  const native = rateOfFilm(film);
  const rate = Math.min(fps, native);
  // Where the camera is as fast as the footage, slower playing would show pictures twice.
  const pace = rate > 0.9 * native ? 1 : between(random, 0.94, 1.06);
  const from = Math.max(0, Math.min(150, gesture.fromMs - LEAD_MIN_MS - 200)) * random();
  const played = sampled(film, rate, (durationOf(film) - from) / pace, (tMs) => from + tMs * pace);
  const end = played.at(-1)?.tMs ?? 0;
  const at = (tMs: number): number => Math.min(end, Math.max(0, (tMs - from) / pace));
  return { film: played, gesture: { fromMs: at(gesture.fromMs), toMs: at(gesture.toMs) }, joins: 0 };
}
