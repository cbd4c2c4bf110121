import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { type Answer, ApiClient, type Outgoing } from '#testing';
import { UsageError } from './fault.js';
import type { FileResult, Picture, Shown } from './quality-result.js';
import { STILL_STEP_MS, stillStep } from './still-step.js';

/** An account may end so many captures without a result before it has to wait. */
const CAPTURES_A_USER = 8;
/** Frames may not span more time than has passed since the step was revealed. */
const REVEAL_MS = STILL_STEP_MS + 100;
const STEPS = 3;
/** Status of a step that comes too late. */
const OVER = 410;
/** Numbers behind the pictures of one attempt: a step of its own range each. */
const NUMBERS_A_STEP = 1_000;

/**
 * Each file as the steps of a practice capture. A refused step changes nothing, so the capture goes on with the next
 * file; what is accepted is sent three times, as the quality is told at the end.
 */
export async function showOverHttp(
  url: string,
  parallel: number,
  files: readonly string[],
  picture: Picture,
  tick: () => void,
): Promise<Shown> {
  const waiting = files.map((file, index) => ({ file, index }));
  const results: FileResult[] = [];
  const lane = async (): Promise<void> => {
    let visitor = await Visitor.register(url);
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      if (visitor.captures >= CAPTURES_A_USER) {
        await visitor.leave();
        visitor = await Visitor.register(url);
      }
      results[next.index] = await visitor.show(next.file, picture(next.file));
      tick();
    }
    await visitor.leave();
  };
  try {
    await Promise.all(Array.from({ length: Math.min(parallel, files.length) }, lane));
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(`--http ${url}: no answer`);
    throw error;
  }
  return { files: results, modelDigest: 'unknown', rssPeakBytes: null };
}

/**
 * `fetch` takes a body apart by web streams: 10 ms for 3 MB, now and then 70, before the first answer of any server. The
 * time of a refusal would be its own.
 */
class PlainClient extends ApiClient {
  private readonly agent = new Agent({ keepAlive: true });

  protected override async exchange(url: string, { body, ...outgoing }: Outgoing): Promise<Omit<Answer, 'body'>> {
    try {
      const sent = request(url, { ...outgoing, agent: this.agent }).end(body);
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      const headers = new Headers(response.headers as Record<string, string>);
      return { status: response.statusCode ?? 0, headers, text: await text(response) };
    } catch (cause) {
      throw new TypeError('no answer', { cause });
    }
  }
}

class Visitor {
  captures = 0;
  private attemptId: string | null = null;
  private revealedAt = 0;

  private constructor(private readonly client: ApiClient) {}

  static async register(url: string): Promise<Visitor> {
    const client = new PlainClient(url, 'eval');
    const email = `eval-${randomBytes(6).toString('hex')}@example.org`;
    const password = randomBytes(18).toString('base64url');
    must(await client.post('/v1/auth/register', { email, password }), 201, 'registration');
    must(await client.login(email, password), 200, 'login');
    const { version, textSha256 } = must(await client.get('/v1/face/consent'), 200, 'consent').body;
    must(await client.put('/v1/face/consent', { version, textSha256 }), 200, 'consent');
    return new Visitor(client);
  }

  async show(file: string, bytes: Buffer): Promise<FileResult> {
    let attemptId = await this.capture();
    await until(this.revealedAt + REVEAL_MS);
    let from = performance.now();
    let first = await this.send(attemptId, 1, bytes);
    if (first.status === OVER) {
      // Its window ended while other files were refused.
      this.attemptId = null;
      attemptId = await this.capture();
      await until(this.revealedAt + REVEAL_MS);
      from = performance.now();
      first = await this.send(attemptId, 1, bytes);
    }
    if (first.status !== 202) return { file, bytes: bytes.length, ...refusal(first), ms: performance.now() - from };
    for (let step = 2; step <= STEPS; step++) {
      await until(performance.now() + REVEAL_MS);
      const answer = await this.send(attemptId, step, bytes);
      if (answer.status !== 202) return { file, bytes: bytes.length, ...refusal(answer), ms: performance.now() - from };
    }
    const sent = performance.now();
    const { body } = must(await this.client.get(`/v1/face/attempts/${attemptId}?wait=20`), 200, 'outcome');
    this.attemptId = null;
    const { status, quality } = body as { status?: string; quality?: string };
    // A gesture was looked for, and a still shows none.
    const code = quality ?? (status === 'practised' || status === 'not_verified' ? 'usable' : String(status));
    return { file, bytes: bytes.length, status: 202, code, ms: performance.now() - sent };
  }

  /** Ends what is still open. */
  async leave(): Promise<void> {
    if (this.attemptId) await this.client.delete(`/v1/face/attempts/${this.attemptId}`);
    this.attemptId = null;
  }

  /** The capture that is open and young enough, or a new one. */
  private async capture(): Promise<string> {
    if (this.attemptId) return this.attemptId;
    const begun = must(await this.client.post('/v1/face/practice', {}), 201, 'practice');
    this.captures++;
    this.revealedAt = performance.now();
    return (this.attemptId = String(begun.body.attemptId));
  }

  private send(attemptId: string, step: number, bytes: Buffer): Promise<Answer> {
    return this.client.postBytes(`/v1/face/attempts/${attemptId}/steps/${step}`, stillStep(bytes, step * NUMBERS_A_STEP)); // prettier-ignore
  }
}

const refusal = ({ status, body }: Answer): Pick<FileResult, 'status' | 'code'> => ({
  status,
  code: typeof body.code === 'string' ? body.code : 'unknown',
});

function must(answer: Answer, status: number, what: string): Answer {
  if (answer.status !== status)
    throw new UsageError(`${what}: the gateway answers ${answer.status} ${refusal(answer).code}`);
  return answer;
}

const until = (at: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, at - performance.now())));
