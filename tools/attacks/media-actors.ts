import path from 'node:path';
import type { Action } from '#contracts';
import { repositoryRoot } from '#stack';
import { type Actor, actorsOf, type Footage, type Take } from './footage.js';
import { libraryOf, type Span } from './library.js';

/** Frames of `test/media` a second, and where in its segments the gestures are (`test/media/SOURCE.md`). */
export const MEDIA_FPS = 24;
export const mediaFolder = (): string => path.join(repositoryRoot(), 'test/media');

const SEGMENTS: readonly [person: string, segment: string, action: Span['action'], fromS: number, toS: number][] = [
  ['franck', 'neutral-1', 'neutral', 0, 1.45],
  ['franck', 'neutral-2', 'neutral', 0, 1.45],
  ['franck', 'blink-1', 'blink', 0.6, 2.0],
  ['franck', 'blink-2', 'blink', 0.6, 2.2],
  ['franck', 'smile-1', 'smile', 1.2, 2.2],
  ['franck', 'smile-2', 'smile', 0.7, 2.4],
  ['franck', 'turn-right-1', 'turn_right', 1.2, 2.4],
  ['franck', 'turn-right-2', 'turn_right', 1.2, 2.4],
  ['cap', 'neutral-1', 'neutral', 0, 1.55],
  ['cap', 'blink-1', 'blink', 0.6, 2.6],
  ['cap', 'turn-right-1', 'turn_right', 1.2, 1.7],
];

const OTHER_SIDE = { turn_left: 'turn_right', turn_right: 'turn_left' } as const;

/** The people of the committed footage. A side that was not filmed is the other one, mirrored. */
export function mediaActors(): Actor[] {
  const spans = SEGMENTS.map(([person, segment, action, fromS, toS], line): Span => {
    return { line, person, action, file: `${person}/${segment}`, fromS, toS };
  });
  return actorsOf(libraryOf(spans, 'test/media'), mediaFolder(), MEDIA_FPS).map(withBothSides);
}

function withBothSides(actor: Actor): Actor {
  const takes = { ...actor.takes };
  const gestures: Action[] = [...actor.gestures];
  for (const side of ['turn_left', 'turn_right'] as const) {
    if (takes[side].length > 0) continue;
    const other = actor.takes[OTHER_SIDE[side]];
    if (other.length === 0) continue;
    takes[side] = other.map(mirrored);
    gestures.push(side);
  }
  return { ...actor, takes, gestures };
}

function mirrored(take: Take): Take {
  const footage = async (): Promise<Footage> => {
    const found = await take.footage();
    return { ...found, film: found.film.map((f) => ({ ...f, effects: [{ kind: 'mirror' as const }] })) };
  };
  return { id: `${take.id}-mirrored`, footage };
}
