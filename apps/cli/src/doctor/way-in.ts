import { randomUUID } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { canonicalAddress, CAPTURE_LIMITS } from '#contracts';
import { bad, type Finding, note, ok } from './check.js';

const TIMEOUT_MS = 15_000;
/** A gateway that is reached at once has refused long before; a proxy that collects the body cannot. */
const BUFFERED_MS = 2_000;
const FIRST_BYTES = 64 * 1024;
/** An address for documentation (RFC 5737): nobody is known by it but who says so himself. */
const MADE_UP = '203.0.113.66';
const SEE = 'docs/proxies.md';

interface Answer {
  status: number;
  /** Of a refusal that the gateway itself has made. */
  code: string | undefined;
  body: Record<string, unknown>;
  /** Whether it came while the body was still held back. */
  early: boolean;
  localAddress: string;
  remoteAddress: string;
}

/**
 * Looks at a running gateway as its clients reach it, through whatever proxies stand before it. No account is needed and
 * nothing is stored: the upload is refused for want of a session.
 *
 * @param from of several addresses of this machine, the one to come from.
 */
export async function wayIn(url: string, from?: string): Promise<Finding[]> {
  const ready = await ask(url, '/health/ready', { from });
  if (!ready) return [bad('gateway', `does not answer at ${new URL(url).origin}`, 'start gateway, or correct the URL or the proxy before it')]; // prettier-ignore
  const found = ready.status === 200 ? ok('gateway', 'ready') : bad('gateway', `answers ${ready.status} at /health/ready`, 'read its log: what it stands on does not answer'); // prettier-ignore
  const path = `/v1/face/attempts/${randomUUID()}/steps/1`;
  const upload = await ask(url, path, { from, bytes: CAPTURE_LIMITS.bytesMax });
  return [found, bodySize(upload), buffering(upload), addresses(await ask(url, '/health/connection', { from }))];
}

const isGateways = (answer: Answer | null): boolean => answer?.code === 'unauthenticated';

function bodySize(upload: Answer | null): Finding {
  const check = 'body size';
  const size = `${CAPTURE_LIMITS.bytesMax / 1024 / 1024} MiB`;
  if (isGateways(upload)) return ok(check, `an upload of ${size} reaches the gateway`);
  const what = upload ? `is answered ${upload.status} by what stands before the gateway` : 'is cut';
  return bad(check, `an upload of ${size} ${what}`, `let bodies of 5 MB through (nginx: client_max_body_size 5m), see ${SEE}`); // prettier-ignore
}

function buffering(upload: Answer | null): Finding {
  const check = 'request buffering';
  if (!isGateways(upload))
    return note(check, 'not to be found out while no upload arrives', 'mend the body size first');
  if (upload?.early) return ok(check, 'an upload reaches the gateway as it is sent');
  return bad(
    check,
    'an upload reaches the gateway only when it is complete, so that a slow network makes its step late',
    `let requests through as they come (nginx: proxy_request_buffering off), see ${SEE}`,
  );
}

function addresses(seen: Answer | null): Finding {
  const check = 'addresses of clients';
  const address = typeof seen?.body.address === 'string' ? canonicalAddress(seen.body.address) : undefined;
  if (!seen || address === undefined) return note(check, 'this gateway does not tell', 'use a gateway of this version');
  const advice = `let the proxy send X-Forwarded-For, and name it in TRUSTED_PROXIES, see ${SEE}`;
  if (address === MADE_UP) {
    const overwrite = `let the proxy overwrite X-Forwarded-For, or append to it, and name in TRUSTED_PROXIES proxies only (and run this from a machine that is none), see ${SEE}`; // prettier-ignore
    return bad(
      check,
      'whoever sends X-Forwarded-For chooses the address that limits and events know him by',
      overwrite,
    );
  }
  if (address === canonicalAddress(seen.localAddress))
    return ok(check, `this machine is known by its own address, ${address}`);
  if (address === canonicalAddress(seen.remoteAddress)) return bad(check, `this machine is known by the proxy's address, ${address}: all people share its limits`, advice); // prettier-ignore
  return note(check, `this machine is known as ${address}`, `right if that is its public address; else ${advice}`);
}

/** Null when there is no answer. With `bytes` a body of so many, of which all but the first are held back at first. */
function ask(url: string, path: string, o: { from?: string | undefined; bytes?: number }): Promise<Answer | null> {
  const target = new URL(path, url);
  const headers = {
    'x-forwarded-for': MADE_UP,
    ...(o.bytes === undefined ? {} : { 'content-type': 'application/octet-stream', 'content-length': o.bytes }),
  };
  const options = { method: o.bytes === undefined ? 'GET' : 'POST', headers, timeout: TIMEOUT_MS, agent: false };
  const send = target.protocol === 'https:' ? https.request : http.request;
  return new Promise((resolve) => {
    let heldBack = o.bytes !== undefined;
    const request = send(target, { ...options, ...(o.from === undefined ? {} : { localAddress: o.from }) });
    const end = (answer: Answer | null): void => {
      request.destroy();
      resolve(answer);
    };
    request.once('timeout', () => end(null)).on('error', () => end(null));
    request.once('response', (response) => {
      const early = heldBack;
      const { localAddress = '', remoteAddress = '' }: Partial<Socket> = response.socket;
      textOf(response).then(
        (text) => end({ status: response.statusCode ?? 0, ...bodyOf(text), early, localAddress, remoteAddress }),
        () => end(null),
      );
    });
    if (o.bytes === undefined) return void request.end();
    request.write(Buffer.alloc(FIRST_BYTES));
    void sleep(BUFFERED_MS, undefined, { ref: false }).then(() => {
      heldBack = false;
      if (!request.destroyed) request.end(Buffer.alloc((o.bytes ?? 0) - FIRST_BYTES));
    });
  });
}

async function textOf(response: http.IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return Buffer.concat(parts).toString('utf8');
}

function bodyOf(text: string): Pick<Answer, 'code' | 'body'> {
  try {
    const body = JSON.parse(text) as Record<string, unknown>;
    return { body, code: typeof body.code === 'string' ? body.code : undefined };
  } catch {
    return { body: {}, code: undefined };
  }
}
