/** A child process of `bench -- hostile`: one account that does all it is allowed to, until its parent hangs up. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent, type ClientRequest, request } from 'node:http';
import { setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { CAPTURE_LIMITS } from '#contracts';
import { ApiClient, encodeStep, type Frame } from '#testing';

export interface HostileOptions {
  url: string;
  email: string;
  password: string;
  /** Uploads that never end, side by side. */
  slowUploads: number;
  /** File of the picture that its steps are full of, and how many of it a step takes. */
  picture: string;
  frames: number;
  /** File of a body of a step, of which the last byte is never sent. */
  slowBody: string;
}

/** What its requests were answered with, by what they asked for. */
export type Tally = Record<string, Record<string, number>>;
export type HostileAnswer = { kind: 'ready' } | { kind: 'tally'; tally: Tally };

/** Behind whatever else the machine does: an attacker has a machine of his own, this one would take ours. */
const NICE = 10;
const GAP_MS = 1000 / CAPTURE_LIMITS.fpsMax;
/** A step may claim so much more time than it was shown. */
const SLACK_MS = 400;
/** After an answer that ended a slow upload, or a refusal without a time to wait. */
const PAUSE_MS = 1_000;
/** Four megabytes in six seconds: within the time that a body may take. */
const DRIP_BYTES = 340 * 1024;
const DRIP_MS = 500;

class Hostile {
  readonly tally: Tally = {};
  private readonly bomber: ApiClient;
  private readonly agent = new Agent({ keepAlive: false });
  private readonly picture: Buffer;
  private readonly slowBody: Buffer;
  /** It has one upload in flight a session: a slow one would end the bombs' own. */
  private sending = false;
  /** The step that its newest attempt awaits. */
  private at: { attemptId: string; step: number } | null = null;

  constructor(private readonly o: HostileOptions) {
    this.bomber = new ApiClient(o.url);
    this.picture = readFileSync(o.picture);
    this.slowBody = readFileSync(o.slowBody);
  }

  async begin(): Promise<void> {
    await this.bomber.login(this.o.email, this.o.password);
    if (!this.bomber.token) throw new Error('the hostile account cannot log in');
    const loops = [this.bombs(), this.logins(), this.begins(), ...this.slow()];
    for (const loop of loops) void loop.catch(fail);
  }

  /** Practices full of the dearest pictures, each step as soon as it may come. */
  private async bombs(): Promise<never> {
    for (;;) {
      const begun = await this.ask('bombs: begin', () => this.bomber.post('/v1/face/practice', {}));
      let step: { index: number } | undefined =
        begun?.status === 201 ? (begun.body.step as { index: number } | undefined) : undefined;
      if (!step) {
        await sleep(PAUSE_MS);
        continue;
      }
      const attemptId = String(begun?.body.attemptId);
      while (step) {
        const index: number = step.index;
        this.at = { attemptId, step: index };
        const body = this.step();
        await sleep(this.o.frames * GAP_MS - SLACK_MS);
        this.sending = true;
        const sent = await this.ask('bombs: step', () => this.bomber.postBytes(`/v1/face/attempts/${attemptId}/steps/${index}`, body)); // prettier-ignore
        this.sending = false;
        // A slow one that was on its way took its place: the same again.
        if (sent?.body.code === 'upload_replaced') continue;
        step = sent?.status === 202 ? (sent.body.step as { index: number } | undefined) : undefined;
      }
      await this.ask('bombs: end', () => this.bomber.get(`/v1/face/attempts/${attemptId}?wait=10`));
    }
  }

  /** The right password, again and again: each costs a hash, a session and rows of the log. Too many would end its own first. */
  private async logins(): Promise<never> {
    const { email, password, url } = this.o;
    for (const client = new ApiClient(url); ;) {
      const answer = await this.ask('logins', () => client.login(email, password));
      if (client.token) await this.ask('logouts', () => client.post('/v1/auth/logout'));
      await this.pacedBy(answer);
    }
  }

  /** Begins, whatever they are told. */
  private async begins(): Promise<never> {
    for (;;) await this.pacedBy(await this.ask('begins', () => this.bomber.post('/v1/face/attempts', {})));
  }

  /** A refusal is asked again a second later; what is allowed is asked again at once. */
  private async pacedBy(answer: { status: number } | null): Promise<void> {
    if (!answer || answer.status >= 300) await sleep(PAUSE_MS);
  }

  private slow(): Promise<never>[] {
    return Array.from({ length: this.o.slowUploads }, async () => {
      for (;;) {
        if (!this.sending) this.count('slow uploads', await this.drip());
        await sleep(PAUSE_MS);
      }
    });
  }

  /** Four megabytes but for the last byte, little by little, to the step that is awaited or one that was. */
  private drip(): Promise<string> {
    const { attemptId, step } = this.at ?? { attemptId: '00000000-0000-4000-8000-000000000000', step: 1 };
    return new Promise((resolve) => {
      const sent: ClientRequest = request(`${this.o.url}/v1/face/attempts/${attemptId}/steps/${step}`, {
        method: 'POST',
        agent: this.agent,
        headers: {
          authorization: `Bearer ${this.bomber.token}`,
          'content-type': 'application/octet-stream',
          'content-length': this.slowBody.length,
        },
      });
      let at = 0;
      const drip = setInterval(() => {
        const to = Math.min(at + DRIP_BYTES, this.slowBody.length - 1);
        if (to > at) sent.write(this.slowBody.subarray(at, to));
        at = to;
      }, DRIP_MS);
      const over = (how: string): void => {
        clearInterval(drip);
        sent.destroy();
        resolve(how);
      };
      sent.on('error', () => over('connection ended'));
      sent.on('response', (response) => over(String(response.statusCode)));
    });
  }

  /** All frames the same picture, no two the same bytes. */
  private step(): Buffer {
    const frames = Array.from({ length: this.o.frames }, (_, i): Frame => ({ tMs: Math.round(i * GAP_MS), jpeg: other(this.picture) })); // prettier-ignore
    return encodeStep(frames);
  }

  private async ask<T extends { status: number; body: Record<string, unknown> }>(
    what: string,
    call: () => Promise<T>,
  ): Promise<T | null> {
    const answer = await call().catch(() => null);
    const { code } = answer?.body ?? {};
    this.count(what, !answer ? 'no answer' : typeof code === 'string' ? `${answer.status} ${code}` : String(answer.status)); // prettier-ignore
    return answer;
  }

  private count(what: string, how: string): void {
    const of = (this.tally[what] ??= {});
    of[how] = (of[how] ?? 0) + 1;
  }
}

/** The same picture in other bytes: a comment of a JPEG, a chunk of a WebP that nobody knows. */
export function other(picture: Buffer): Buffer {
  if (picture[0] === 0xff) {
    const comment = Buffer.concat([Buffer.from([0xff, 0xfe, 0, 18]), randomBytes(16)]);
    return Buffer.concat([picture.subarray(0, 2), comment, picture.subarray(2)]);
  }
  const out = Buffer.concat([picture, Buffer.from('NOTE'), Buffer.from([16, 0, 0, 0]), randomBytes(16)]);
  out.writeUInt32LE(out.length - 8, 4);
  return out;
}

async function main(): Promise<void> {
  setPriority(NICE);
  const say = (answer: HostileAnswer): boolean | undefined => process.send?.(answer);
  const hostile = new Hostile(JSON.parse(process.argv[2] ?? '') as HostileOptions);
  process.on('message', () => say({ kind: 'tally', tally: hostile.tally }));
  process.on('disconnect', () => process.exit(0));
  await hostile.begin();
  say({ kind: 'ready' });
}

function fail(error: unknown): void {
  console.error(error);
  process.exit(1);
}

// Only as a program: its types are also imported.
if (require.main === module) main().catch(fail);
