import type { Introspection, Operations } from './api.js';
import { CountersignError, CountersignUnreachableError } from './errors.js';

export interface CountersignClientOptions {
  /** Where the gateway is: `https://auth.example.org`. */
  baseUrl: string;
  /** The service credential; only `introspect` needs it. */
  credentials?: { clientId: string; secret: string };
  /** How often an answer 503 is asked again, after the time it names. */
  retries?: number;
  /** Longest to wait for one answer, and longest to heed one `Retry-After`. */
  timeoutMs?: number;
}

type Name = keyof Operations;
type Body<N extends Name> = Operations[N]['body'];
type Reply<N extends Name> = Operations[N]['answer'];

interface Call {
  params?: Readonly<Record<string, string | number>>;
  waitSeconds?: number;
  authorization?: string;
}

const RETRIES = 3;
const TIMEOUT_MS = 5_000;
/** A long poll answers after its own time. */
const WAIT_MARGIN_MS = 5_000;

/**
 * The API for relying applications, on `fetch` alone. Refusals are thrown as CountersignError, anything that is no
 * answer as CountersignUnreachableError. Holds no session: a token is given to each call.
 */
export class CountersignClient {
  private readonly base: string;
  private readonly retries: number;
  private readonly timeoutMs: number;

  constructor(private readonly options: CountersignClientOptions) {
    this.base = options.baseUrl.replace(/\/+$/, '');
    this.retries = options.retries ?? RETRIES;
    this.timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  }

  /**
   * What the session of a token is worth at this moment. The token is one that the page had made for this client
   * (`tokenFor`); any other, and one whose session is over, gives `{ active: false }`, never an error.
   */
  introspect(token: string): Promise<Introspection> {
    const { credentials } = this.options;
    if (!credentials) throw new TypeError('introspect needs credentials');
    const basic = Buffer.from(`${credentials.clientId}:${credentials.secret}`).toString('base64');
    return this.call('POST /v1/sessions/introspect', { token }, { authorization: `Basic ${basic}` });
  }

  /**
   * For a page: a token by which that client, and no other, asks about this session. It opens nothing, lives ten minutes and
   * shows what the session is worth when it is asked about, also after a step-up.
   */
  tokenFor(sessionToken: string, clientId: string): Promise<Reply<'POST /v1/sessions/tokens'>> {
    return this.call('POST /v1/sessions/tokens', { clientId }, bearer(sessionToken));
  }

  login(email: string, password: string): Promise<Reply<'POST /v1/auth/login'>> {
    return this.call('POST /v1/auth/login', { email, password }, {});
  }

  logout(token: string): Promise<undefined> {
    return this.call('POST /v1/auth/logout', undefined, bearer(token));
  }

  session(token: string): Promise<Reply<'GET /v1/auth/session'>> {
    return this.call('GET /v1/auth/session', undefined, bearer(token));
  }

  /** Begins a step-up; the answer names the first step. */
  beginAttempt(token: string): Promise<Reply<'POST /v1/face/attempts'>> {
    return this.call('POST /v1/face/attempts', undefined, bearer(token));
  }

  /** `frames`: the body of the step, in the format of the API. The answer names the next step, if there is one. */
  sendStep(
    token: string,
    attemptId: string,
    step: number,
    frames: Uint8Array,
  ): Promise<Reply<'POST /v1/face/attempts/{id}/steps/{n}'>> {
    const params = { id: attemptId, n: step };
    return this.call('POST /v1/face/attempts/{id}/steps/{n}', frames, { ...bearer(token), params });
  }

  /**
   * Waits for the outcome at most so long. A verified attempt's answer holds the new token; the old one is dead.
   * An answer that was lost is given again for a minute, until the new token is used: ask once more.
   */
  outcome(token: string, attemptId: string, waitSeconds = 0): Promise<Reply<'GET /v1/face/attempts/{id}'>> {
    const about = { ...bearer(token), params: { id: attemptId }, waitSeconds };
    return this.call('GET /v1/face/attempts/{id}', undefined, about, waitSeconds * 1_000 + WAIT_MARGIN_MS);
  }

  cancelAttempt(token: string, attemptId: string): Promise<undefined> {
    return this.call('DELETE /v1/face/attempts/{id}', undefined, { ...bearer(token), params: { id: attemptId } });
  }

  sendRecoveryCode(token: string): Promise<Reply<'POST /v1/recovery/codes'>> {
    return this.call('POST /v1/recovery/codes', undefined, bearer(token));
  }

  /** Raises the session by the mailed code. An answer that was lost is given again likewise. */
  recover(token: string, code: string): Promise<Reply<'POST /v1/recovery/verify'>> {
    return this.call('POST /v1/recovery/verify', { code }, bearer(token));
  }

  private async call<N extends Name>(
    name: N,
    body: Body<N>,
    call: Call,
    timeoutMs = this.timeoutMs,
  ): Promise<Reply<N>> {
    for (let left = this.retries; ; left--) {
      const response = await this.send(name, body, call, timeoutMs);
      if (response.ok) return (await bodyOf(response)) as Reply<N>;
      const error = await refusal(response);
      const waitMs = (error.retryAfterSeconds ?? Infinity) * 1_000;
      if (error.status !== 503 || left <= 0 || waitMs > this.timeoutMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  private async send(name: Name, body: unknown, call: Call, timeoutMs: number): Promise<Response> {
    const [method = '', template = ''] = name.split(' ');
    const path = template.replace(/\{(\w+)\}/g, (_, key: string) => encodeURIComponent(call.params?.[key] ?? ''));
    const query = call.waitSeconds === undefined ? '' : `?wait=${call.waitSeconds}`;
    const bytes = body instanceof Uint8Array;
    try {
      return await fetch(`${this.base}${path}${query}`, {
        method,
        headers: {
          accept: 'application/json, application/problem+json',
          ...(body === undefined ? {} : { 'content-type': bytes ? 'application/octet-stream' : 'application/json' }),
          ...(call.authorization === undefined ? {} : { authorization: call.authorization }),
        },
        ...(body === undefined ? {} : { body: bytes ? Uint8Array.from(body) : JSON.stringify(body) }),
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs),
      });
    } catch (cause) {
      throw new CountersignUnreachableError('no answer', { cause });
    }
  }
}

const bearer = (token: string): Call => ({ authorization: `Bearer ${token}` });

async function bodyOf(response: Response): Promise<unknown> {
  if (response.status === 204) return undefined;
  try {
    return await response.json();
  } catch (cause) {
    throw new CountersignUnreachableError('an answer that is not JSON', { cause });
  }
}

/** Seconds, or a date (RFC 9110). */
function retryAfter(value: string | null): number | null {
  if (value === null) return null;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1_000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null;
}

async function refusal(response: Response): Promise<CountersignError> {
  const problem = (await response.json().catch(() => null)) as Record<string, unknown> | null;
  const after = retryAfter(response.headers.get('retry-after'));
  if (typeof problem?.code === 'string') return new CountersignError(response.status, problem.code, after, problem);
  // A proxy's own page: of its status alone a 503 may still be worth another try.
  if (response.status === 503) return new CountersignError(503, 'unavailable', after, {});
  throw new CountersignUnreachableError(`an answer ${response.status} that is no problem+json`);
}
