import { randomBytes, randomUUID } from 'node:crypto';
import { z } from 'zod';
import { actionSchema } from '#contracts';
import { type Answer, ApiClient } from '#testing';
import { type Script, scriptedStep } from './script.js';
import { inParallel, sleep } from './time.js';

export const PASSWORD = 'correct horse battery staple';
const AT_ONCE = 6;
/** On a busy machine a capture can miss its windows before any fault is made. */
const ENROL_TRIES = 3;
/** The step's window opens 0.3 s after the reveal. */
const WINDOW_MS = 350;
/** Longer than any attempt can live: 90 s to film, 12 s to decide with three more runs, and the reconciler's rounds. */
const GIVE_UP_MS = 240_000;

const stepSchema = z.object({ index: z.int(), action: actionSchema });
const sessionSchema = z.object({ token: z.string() });

/** An attempt as its client saw it. `status` is the last it was told; `lost`: nothing final before it gave up. */
export interface Attempted {
  userId: string;
  /** Null when no begin was accepted. */
  attemptId: string | null;
  script: Partial<Script>;
  status: string;
  granted: boolean;
  /** From the last step's being taken to being told. */
  decidedMs: number;
}

/** An attempt and the step it awaits, if it does. */
export interface Begun {
  attemptId: string;
  step?: { index: number } | undefined;
}

/** What a 201 says. */
export function begunOf(answer: Answer | null): Begun | null {
  const attemptId = z.uuid().safeParse(answer?.body.attemptId).data;
  return answer?.status === 201 && attemptId ? { attemptId, step: stepSchema.parse(answer.body.step) } : null;
}

/** `503 busy`: status and code, as they are told. */
export function saidBy(answer: Answer | null | undefined): string {
  if (!answer) return 'no answer';
  const { code } = answer.body;
  return typeof code === 'string' ? `${answer.status} ${code}` : String(answer.status);
}

/** A client with one session that knows several gateways and changes to the next when one does not answer. */
export class Device {
  private readonly client: ApiClient;
  private at: number;
  /** Answers that were our fault: 5xx, with their code. */
  readonly serverFaults: string[] = [];
  /** Requests that a gateway took and did not answer; one that is not there takes none. */
  readonly cutOff: string[] = [];
  /** Every request to the next gateway, as behind a balancer that turns. */
  roams = false;
  /** No request to a gateway that says it is not ready, as behind a balancer that asks. */
  balanced = false;

  constructor(
    private readonly gateways: readonly string[],
    readonly email: string,
    readonly userId = '',
    address = `10.${randomBytes(3).join('.')}`,
  ) {
    this.at = Math.floor(Math.random() * gateways.length);
    this.client = new ApiClient(gateways[this.at] ?? '', 'Pixel 9', { 'X-Forwarded-For': address });
  }

  get token(): string | null {
    return this.client.token;
  }
  set token(token: string | null) {
    this.client.token = token;
  }

  /** One request to one gateway; null when it did not answer, and the next request goes to another. */
  async once(call: (client: ApiClient) => Promise<Answer>): Promise<Answer | null> {
    if (this.balanced && !(await this.isReady())) {
      this.turn();
      return null;
    }
    try {
      const answer = await call(this.client);
      if (answer.status >= 500) this.serverFaults.push(saidBy(answer));
      if (this.roams) this.turn();
      return answer;
    } catch (error) {
      const { code } = ((error as Error).cause ?? {}) as { code?: unknown };
      if (code !== 'ECONNREFUSED') this.cutOff.push(String(code));
      this.turn();
      return null;
    }
  }

  private async isReady(): Promise<boolean> {
    try {
      return (await this.client.get('/health/ready')).status === 200;
    } catch {
      return false;
    }
  }

  private turn(): void {
    this.at = (this.at + 1) % this.gateways.length;
    this.client.baseUrl = this.gateways[this.at] ?? '';
  }

  /** Asks until somebody answers, and not with 503. */
  async ask(call: (client: ApiClient) => Promise<Answer>, withinMs = GIVE_UP_MS): Promise<Answer> {
    const end = performance.now() + withinMs;
    for (;;) {
      const answer = await this.once(call);
      if (answer && answer.status < 500) return answer;
      if (performance.now() > end) throw new Error(`no answer: ${answer?.text ?? 'refused'}`);
      await sleep(200);
    }
  }

  async login(): Promise<Answer> {
    this.token = null;
    const answer = await this.ask((client) => client.post('/v1/auth/login', { email: this.email, password: PASSWORD }));
    this.token = sessionSchema.safeParse(answer.body).data?.token ?? null;
    return answer;
  }

  /** A whole capture, with patience: whatever is not answered is asked again, as a good client does. */
  async capture(script: Partial<Script> = {}, kind: 'attempts' | 'enrolments' = 'attempts'): Promise<Attempted> {
    const end = performance.now() + GIVE_UP_MS;
    const begun = await this.begin(kind, end);
    if (typeof begun !== 'string') return this.follow(begun, script, end);
    if (begun === 'unauthenticated') await this.login();
    return { userId: this.userId, attemptId: null, script, status: begun, granted: false, decidedMs: 0 };
  }

  /** An attempt that was begun, to its end. A session that is gone costs a login, and ends the capture for its client. */
  async follow(begun: Begun, script: Partial<Script>, end = performance.now() + GIVE_UP_MS): Promise<Attempted> {
    const { attemptId } = begun;
    let filmed = performance.now();
    const told = (status: string, granted = false): Attempted => ({
      userId: this.userId,
      attemptId,
      script,
      status,
      granted,
      decidedMs: performance.now() - filmed,
    });
    let step = begun.step;
    while (step && performance.now() < end) {
      await sleep(WINDOW_MS);
      step = await this.send(attemptId, step.index, scriptedStep(script));
      filmed = performance.now();
    }
    while (performance.now() < end) {
      const answer = await this.once((client) => client.get(`/v1/face/attempts/${attemptId}?wait=5`));
      const status = String(answer?.body.status);
      if (answer?.status === 200 && status !== 'deciding' && status !== 'capturing') {
        const session = sessionSchema.safeParse(answer.body.session).data;
        if (session) this.token = session.token;
        return told(status, session !== undefined);
      }
      if (answer?.status === 401) await this.login();
      if (answer && answer.status < 500 && answer.status !== 200) return told(String(answer.status));
      if (answer?.status !== 200) await sleep(200);
    }
    return told('lost');
  }

  /** The attempt and its awaited step; one that is in progress already is gone on with. A string: refused, and why. */
  private async begin(kind: string, end: number): Promise<string | Begun> {
    while (performance.now() < end) {
      const answer = await this.once((client) => client.post(`/v1/face/${kind}`));
      const attemptId = z.uuid().safeParse(answer?.body.attemptId).data;
      const begun = begunOf(answer);
      if (begun) return begun;
      if (answer?.status === 409 && attemptId) return { attemptId, step: await this.awaited(attemptId) };
      if (answer && answer.status !== 409 && answer.status < 500) return String(answer.body.code);
      await sleep(200);
    }
    return 'lost';
  }

  /** Sends a step; what is awaited next, or nothing when all have come or the attempt is over. */
  private async send(attemptId: string, index: number, body: Buffer): Promise<{ index: number } | undefined> {
    const answer = await this.ask((client) => client.postBytes(`/v1/face/attempts/${attemptId}/steps/${index}`, body));
    if (answer.status === 202) return stepSchema.optional().parse(answer.body.step);
    return answer.status === 409 ? this.awaited(attemptId) : undefined;
  }

  private async awaited(attemptId: string): Promise<{ index: number } | undefined> {
    const answer = await this.ask((client) => client.get(`/v1/face/attempts/${attemptId}`));
    return stepSchema.optional().safeParse(answer.body.step).data;
  }
}

/** Registered people with consent and a session each, enrolled unless told otherwise. */
export function people(gateways: readonly string[], count: number, o: { enrolled?: boolean } = {}): Promise<Device[]> {
  return inParallel(Array.from({ length: count }), AT_ONCE, async () => {
    const email = `${randomUUID()}@example.org`;
    const stranger = new Device(gateways, email);
    const registered = await stranger.ask((client) => client.post('/v1/auth/register', { email, password: PASSWORD }));
    const device = new Device(gateways, email, String(registered.body.userId));
    await device.login();
    const { version, textSha256 } = (await device.ask((client) => client.get('/v1/face/consent'))).body;
    await device.ask((client) => client.put('/v1/face/consent', { version, textSha256 }));
    if (o.enrolled !== false) {
      await enrol(device);
    }
    return device;
  });
}

async function enrol(device: Device): Promise<void> {
  for (let left = ENROL_TRIES - 1; ; left--) {
    const { status } = await device.capture({}, 'enrolments');
    if (status === 'enrolled') return;
    if (left === 0) throw new Error(`enrolment: ${status}`);
  }
}

/** Another session of the same person. */
export async function anotherSession(gateways: readonly string[], { email, userId }: Device): Promise<Device> {
  const device = new Device(gateways, email, userId);
  const answer = await device.login();
  if (answer.status !== 200) throw new Error(`login: ${answer.text}`);
  return device;
}
