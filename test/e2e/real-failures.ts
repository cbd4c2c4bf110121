import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import type { Action } from '#contracts';
import { decodeEntry, LOG_COLLECTIONS, type StoredEntry } from '#audit-log';
import { type Frame, inLanes, type Media, performCapture, type Performer } from '#testing';
import { bytesOf, type Failure, STRIKES } from '../medium/failures.js';
import type { World } from './world.js';

const OWNER = 'franck';
const OTHER = 'cap';

/** Re-encoded once a take, and then only marked: filming anew would cost more than the judgement that is tried. */
class Footage {
  private readonly mirrored = new Map<string, Promise<Frame[]>>();

  constructor(private readonly media: Media) {}

  /** Never the same bytes twice: a comment of the camera's after the start of each picture. */
  async frames(person: string, action: Action | 'neutral' | 'still'): Promise<Frame[]> {
    const frames = await this.take(person, action);
    return frames.map(({ tMs, jpeg }) => ({
      tMs,
      jpeg: Buffer.concat([jpeg.subarray(0, 2), Buffer.from([0xff, 0xfe, 0, 18]), randomBytes(16), jpeg.subarray(2)]),
    }));
  }

  private async take(person: string, action: Action | 'neutral' | 'still'): Promise<Frame[]> {
    const { segment, mirror } = this.media.takes(person, action)[0]!;
    const load = (): Promise<Frame[]> => this.media.load(segment);
    if (action === 'still') {
      const [photo] = await load();
      return Array.from({ length: 40 }, (_, i) => ({ tMs: i * 42, jpeg: photo!.jpeg }));
    }
    if (!mirror) return load();
    const key = `${person} ${action}`;
    const kept = this.mirrored.get(key) ?? load().then(flopped);
    this.mirrored.set(key, kept);
    return kept;
  }
}

const flopped = (frames: readonly Frame[]): Promise<Frame[]> =>
  Promise.all(
    frames.map(async ({ tMs, jpeg }) => ({ tMs, jpeg: await sharp(jpeg).flop().jpeg({ quality: 90 }).toBuffer() })),
  );

/** Who stands before the camera in the first, second and third step. */
type Cast = (footage: Footage, step: number, asked: Action) => Promise<Frame[]>;

const owner = (footage: Footage, asked: Action | 'neutral' | 'still'): Promise<Frame[]> => footage.frames(OWNER, asked);
const other = (footage: Footage, asked: Action): Promise<Frame[]> =>
  footage.frames(OTHER, asked === 'smile' ? 'neutral' : asked);
/** A blink would be none: people blink in every step. */
const WRONG: Record<Action, Action> = {
  blink: 'turn_left',
  smile: 'turn_right',
  turn_left: 'turn_right',
  turn_right: 'turn_left',
};
const wrong = (asked: Action): Action => WRONG[asked];

/** The causes of a failure, as recorded people can show them. */
const CASTS: readonly Cast[] = [
  (f, _, asked) => other(f, asked),
  (f) => owner(f, 'still'),
  (f, step, asked) => owner(f, step === 1 ? wrong(asked) : asked),
  (f, step, asked) => owner(f, step === 3 ? wrong(asked) : asked),
  (f, step, asked) => (step === 2 ? other(f, asked) : owner(f, asked)),
  (f, step, asked) => owner(f, step === 3 ? 'neutral' : asked),
  (f, step, asked) => (step === 3 ? spliced(f, asked) : owner(f, asked)),
];

/** Another face in the middle of a step. */
async function spliced(footage: Footage, asked: Action): Promise<Frame[]> {
  const [mine, theirs] = await Promise.all([owner(footage, asked), footage.frames(OTHER, 'neutral')]);
  return mine.map((frame, i) => (i >= 12 && i < 28 ? { ...frame, jpeg: theirs[i]!.jpeg } : frame));
}

const performer = (footage: Footage, cast: Cast): Performer => {
  let step = 0;
  return { name: 'cast', perform: (asked) => cast(footage, ++step, asked) };
};

/** `users` accounts, enrolled; each fails three times, in real time, before the built processes. The third time locks. */
export async function realFailures(
  world: World,
  users: number,
  lanes: number,
): Promise<Pick<Failure, 'nth' | 'answer'>[]> {
  const footage = new Footage(world.media);
  const found = await inLanes(lanes, users, async (user) => {
    const client = await world.user(`oracle-${user}@example.org`);
    // The other man never smiled into a camera: of those who are not asked to he passes every step, and does not match.
    const preferences = { optOuts: user % 2 ? [] : ['smile'], extraTime: false };
    const { status } = await client.put('/v1/face/preferences', preferences);
    if (status !== 200) throw new Error(`preferences: ${status}`);
    const enrolment = await performCapture(client, { name: OWNER, perform: (asked) => owner(footage, asked) }, 'enrolments'); // prettier-ignore
    if (enrolment.end?.body.status !== 'enrolled')
      throw new Error(`enrolment: ${enrolment.end?.text ?? enrolment.begin.text}`);
    const own: Pick<Failure, 'nth' | 'answer'>[] = [];
    for (let nth = 0; nth < STRIKES; nth++) {
      const cast = CASTS[(user * STRIKES + nth) % CASTS.length]!;
      const { end, begin, uploads } = await performCapture(client, performer(footage, cast));
      if (!end) throw new Error(`attempt: ${begin.text} ${uploads.at(-1)?.text ?? ''}`);
      own.push({ nth, answer: bytesOf(end) });
    }
    return own;
  });
  return found.flat();
}

/** For how many reasons the attempts failed, as the audit log has it once all are written; else the tries were all alike. */
export function reasonsOf(world: World, attempts: number): Promise<Set<string | null>> {
  return world.withDatabase(async (database) => {
    const entries = database.collection<StoredEntry>(LOG_COLLECTIONS.entries);
    for (let tries = 0; (await entries.countDocuments({ type: 'failed' })) < attempts && tries < 300; tries++)
      await sleep(100);
    const rows = await entries.find({ type: 'failed' }).toArray();
    return new Set(rows.map((row) => decodeEntry(row.entry)?.reason ?? null));
  });
}
