import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { type Action, ACTIONS } from '#contracts';
import { repositoryRoot } from '#stack';
import { type Answer, ApiClient, encodeStep, type Frame, Media, performCapture, RecordedPerson } from '#testing';

const PERSON = 'franck';
export const PASSWORD = 'correct horse battery staple';
const [WIDTH, HEIGHT, QUALITY] = [640, 480, 85];
/** Of the frames left out of a short take, the share before its beginning: all gestures of the person are seen then. */
const BEFORE_GESTURE = 0.4;

/** Footage of one person by gesture, as a camera sends it; loaded once, so that filming costs nothing while measuring. */
export class Footage {
  private constructor(private readonly takes: ReadonlyMap<Action, Frame[]>) {}

  static async load(): Promise<Footage> {
    const media = new Media(path.join(repositoryRoot(), 'test/media'));
    const takes = new Map<Action, Frame[]>();
    for (const action of ACTIONS) {
      const take = media.takes(PERSON, action).at(-1);
      if (!take) continue;
      const frames = await media.load(take.segment);
      takes.set(action, await Promise.all(frames.map((frame) => asCamera(frame, take.mirror))));
    }
    return new Footage(takes);
  }

  /** All of a gesture, or so many frames around it at the camera's pace. No two times the same bytes, as with any camera. */
  film(action: Action, count?: number): Frame[] {
    const all = this.takes.get(action);
    if (!all) throw new Error(`no footage of ${action}`);
    const left = Math.max(0, all.length - (count ?? all.length));
    const from = Math.round(left * BEFORE_GESTURE);
    const start = all[from]!.tMs;
    return all.slice(from, all.length - left + from).map(({ tMs, jpeg }) => ({ tMs: tMs - start, jpeg: marked(jpeg) }));
  }
}

async function asCamera({ tMs, jpeg }: Frame, mirror: boolean): Promise<Frame> {
  const image = sharp(jpeg).resize(WIDTH, HEIGHT, { fit: 'cover' });
  return { tMs, jpeg: await (mirror ? image.flop() : image).jpeg({ quality: QUALITY }).toBuffer() };
}

/** A comment segment (T.81, marker COM) of random bytes after the start of the image: other bytes, same picture. */
function marked(jpeg: Buffer): Buffer {
  const comment = Buffer.concat([Buffer.from([0xff, 0xfe, 0, 18]), randomBytes(16)]);
  return Buffer.concat([jpeg.subarray(0, 2), comment, jpeg.subarray(2)]);
}

/** A registered user with consent. */
export async function consentingUser(baseUrl: string, email: string): Promise<ApiClient> {
  const client = new ApiClient(baseUrl);
  await client.post('/v1/auth/register', { email, password: PASSWORD });
  await client.login(email, PASSWORD);
  const { version, textSha256 } = (await client.get('/v1/face/consent')).body;
  await client.put('/v1/face/consent', { version, textSha256 });
  return client;
}

/** The same with an enrolled face. */
export async function enrolledUser(baseUrl: string, email: string): Promise<ApiClient> {
  const client = await consentingUser(baseUrl, email);
  const media = new Media(path.join(repositoryRoot(), 'test/media'));
  const { end } = await performCapture(client, new RecordedPerson(media, PERSON, 41), 'enrolments');
  if (end?.body.status !== 'enrolled') throw new Error(`enrolment: ${end?.text ?? 'no end'}`);
  return client;
}

interface Step {
  index: number;
  count: number;
  action: Action;
}

/** Clock times in ms of what happened to one attempt's last step. */
export interface LastStep {
  attemptId: string;
  /** The last frame is there; the upload begins. */
  filmedAt: number;
  answeredAt: number;
  status: string;
}

/** Who may upload at this moment; a capture that has filmed a step waits for its turn. */
export interface Turns {
  /** Gives the function that ends the turn. */
  begin(): Promise<() => void>;
  /** Settled when the worker has done with a step that is not the last. */
  analysed(attemptId: string, step: number): Promise<void>;
}

const now = (): number => performance.timeOrigin + performance.now();

/** One attempt in real time, whose last step has so many frames. A code when the gateway let it not begin or go on. */
export async function attempt(
  client: ApiClient,
  footage: Footage,
  lastFrames?: number,
  turns?: Turns,
): Promise<LastStep | { refused: string }> {
  const begun = await client.post('/v1/face/attempts', {});
  if (begun.status !== 201) return refusal(begun);
  const attemptId = String(begun.body.attemptId);
  let step = begun.body.step as Step;
  for (;;) {
    const revealed = performance.now();
    const frames = footage.film(step.action, step.index === step.count ? lastFrames : undefined);
    const body = encodeStep(frames);
    await sleep(Math.max(0, (frames.at(-1)?.tMs ?? 0) + 60 - (performance.now() - revealed)));
    const endTurn = await turns?.begin();
    try {
      const filmedAt = now();
      const upload = await client.postBytes(`/v1/face/attempts/${attemptId}/steps/${step.index}`, body);
      if (upload.status !== 202) return refusal(upload);
      const next = upload.body.step as Step | undefined;
      if (!next) return { attemptId, filmedAt, ...(await answered(client, attemptId)) };
      await turns?.analysed(attemptId, step.index);
      step = next;
    } finally {
      endTurn?.();
    }
  }
}

async function answered(client: ApiClient, attemptId: string): Promise<Pick<LastStep, 'answeredAt' | 'status'>> {
  for (;;) {
    const { status, body } = await client.get(`/v1/face/attempts/${attemptId}?wait=10`);
    if (status !== 200) throw new Error(`the decision could not be asked for: ${status}`);
    if (body.status === 'deciding' || body.status === 'capturing') continue;
    const session = body.session as { token?: string } | undefined;
    if (session?.token) client.token = session.token;
    return { answeredAt: now(), status: String(body.status) };
  }
}

const refusal = ({ status, body }: Answer): { refused: string } => ({
  refused: `refused ${typeof body.code === 'string' ? body.code : status}`,
});
