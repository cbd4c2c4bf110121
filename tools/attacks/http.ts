import { randomBytes } from 'node:crypto';
import { type Action, ACTIONS } from '#contracts';
import {
  type Answer as HttpAnswer,
  ApiClient,
  type Capture,
  type Frame,
  performCapture,
  type Performer,
} from '#testing';
import type { AnalysisPool } from './analysis-pool.js';
import type { Played } from './attempts.js';
import { lookOf } from './camera.js';
import type { Actor } from './footage.js';
import { randomOf } from './random.js';
import { stageOf } from './stage.js';
import { type Answerer, type Cast, STRATEGIES, type Strategy } from './strategies.js';

/** A running gateway did not answer as its API says, before any attempt could be made. */
export class GatewayError extends Error {
  override name = 'GatewayError';
}

export interface HttpRun {
  url: string;
  pool: AnalysisPool;
  /** Names accounts and films: two runs never share one. */
  run: string;
}

/** One attempt of an account. */
export interface HttpPlay {
  cast: Cast;
  strategy: Strategy;
  /** Sends the very bytes of before: those of this attempt's first step, or those of the attempt before it. */
  again?: 'step' | 'attempt';
}

/** A failed attempt is a strike, and the third locks: an account is used for so many that none is locked. */
const ATTEMPTS_A_USER = { genuine: 4, attack: 2 };
const ENROLMENTS_MAX = 3;
const BUSY_TRIES = 20;

export const newRun = (): string => randomBytes(4).toString('hex');

export const attemptsAUser = (strategy: Strategy): number =>
  strategy === STRATEGIES.genuine ? ATTEMPTS_A_USER.genuine : ATTEMPTS_A_USER.attack;

/** Answers what the server asks for, filmed in a thread while the performance is going on. */
class Filming implements Performer {
  readonly shown: string[] = [];
  readonly sent: Frame[][] = [];

  constructor(
    private readonly pool: AnalysisPool,
    readonly name: string,
    private readonly cast: Cast,
    private readonly answer: Answerer,
    /** Frames to be sent again as this step. */
    private readonly again: (step: number, sent: readonly Frame[][]) => Frame[] | undefined = () => undefined,
  ) {}

  async perform(action: Action): Promise<Frame[]> {
    const step = this.sent.length;
    const frames = this.again(step, this.sent) ?? (await this.filmed(action, step));
    this.sent.push(frames);
    return frames;
  }

  private async filmed(action: Action, step: number): Promise<Frame[]> {
    const { key, film } = this.answer(action, step);
    this.shown.push(key);
    const scene = `${this.cast.victim.name}/${this.cast.variant}`;
    return this.pool.film(await film(), lookOf(randomOf('look', scene), `${this.name}/${step}`));
  }
}

/** One account: registered, with consent, opt-outs and the person's own face; then attempts, all in real time. */
export async function playUser(
  { url, pool, run }: HttpRun,
  user: number,
  plays: readonly HttpPlay[],
): Promise<Played[]> {
  const { victim, fps } = plays[0]!.cast;
  const client = new ApiClient(url, 'eval');
  await openAccount(client, `eval-${run}-${user}@example.org`, victim);
  const failed = await enrol(client, { pool, victim, fps, name: `${run}/${user}` });
  const played: Played[] = [];
  let before: readonly Frame[][] = [];
  for (const [i, { cast, strategy, again }] of plays.entries()) {
    const name = nameOf(run, user, i);
    if (failed) {
      played.push({ ...NOTHING, person: victim.name, reason: `not_enrolled (${failed})` });
      continue;
    }
    const answer = strategy.prepare(cast, randomOf('attempt', ...name), []);
    const old = before;
    const filming = new Filming(pool, name.join('/'), cast, answer, (step, sent) =>
      again === 'step' ? sent[0] : again === 'attempt' ? old[step] : undefined,
    );
    const capture = await captured(client, filming, 'attempts');
    before = filming.sent;
    played.push({
      ...NOTHING,
      person: victim.name,
      actions: capture.actions as Action[],
      shown: filming.shown,
      reason: outcomeOf(capture),
    });
  }
  return played;
}

/** What is drawn in an attempt follows from this. */
export const nameOf = (run: string, user: number, attempt: number): (string | number)[] => [run, user, attempt];

/** The API tells neither verdicts nor scores. */
const NOTHING = { actions: [], shown: [], verdicts: [], similarity: null };

async function openAccount(client: ApiClient, email: string, victim: Actor): Promise<void> {
  const password = randomBytes(18).toString('base64url');
  must(await client.post('/v1/auth/register', { email, password }), 201, 'registration');
  must(await client.login(email, password), 200, 'login');
  const consent = must(await client.get('/v1/face/consent'), 200, 'consent').body;
  const { version, textSha256 } = consent;
  must(await client.put('/v1/face/consent', { version, textSha256 }), 200, 'consent');
  const optOuts = ACTIONS.filter((a) => !victim.gestures.includes(a));
  if (optOuts.length > 0)
    must(await client.put('/v1/face/preferences', { optOuts, extraTime: false }), 200, 'preferences');
}

/** Null when enrolled, else how the last try ended. */
async function enrol(
  client: ApiClient,
  o: { pool: AnalysisPool; victim: Actor; fps: number; name: string },
): Promise<string | null> {
  let outcome = '';
  for (let i = 0; i < ENROLMENTS_MAX; i++) {
    const cast: Cast = { victim: o.victim, others: [], fps: o.fps, variant: 1_000_000 + i, stage: stageOf(o.pool) };
    const answer = STRATEGIES.genuine.prepare(cast, randomOf(o.name), []);
    outcome = outcomeOf(await captured(client, new Filming(o.pool, `${o.name}/enrol/${i}`, cast, answer), 'enrolments')); // prettier-ignore
    if (outcome === 'enrolled') return null;
  }
  return outcome;
}

/** Waits where the gateway says that it has no capacity. */
async function captured(client: ApiClient, who: Performer, kind: 'attempts' | 'enrolments'): Promise<Capture> {
  for (let tries = 1; ; tries++) {
    const capture = await performCapture(client, who, kind);
    if (capture.begin.status !== 503 || tries >= BUSY_TRIES) return capture;
    const seconds = Number(capture.begin.headers.get('retry-after') ?? '2');
    await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(30, seconds || 2)));
  }
}

function outcomeOf(capture: Capture): string {
  const refused = capture.begin.status !== 201 ? capture.begin : capture.uploads.find((u) => u.status !== 202);
  if (refused) return `refused: ${codeOf(refused)}`;
  if (!capture.end || capture.end.status !== 200) return `no outcome: ${capture.end ? codeOf(capture.end) : 'none'}`;
  const { status, code } = capture.end.body as { status?: string; code?: string };
  return code === undefined ? String(status) : `${String(status)}: ${code}`;
}

const codeOf = (a: HttpAnswer): string => `${a.status} ${typeof a.body.code === 'string' ? a.body.code : ''}`.trim();

function must(answer: HttpAnswer, status: number, what: string): HttpAnswer {
  if (answer.status !== status) throw new GatewayError(`${what}: the gateway answers ${codeOf(answer)}`);
  return answer;
}
