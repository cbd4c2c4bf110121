import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import Bowser from 'bowser';
import type { FastifyRequest } from 'fastify';
import { addressRangeOf, canonicalAddress, isInRanges, type Origin } from '#contracts';
import { principalOf } from './principal.js';

const TEXT_MAX = 120;
const UNKNOWN = 'an unknown device';

/** What browsers are asked to tell: their user agents no longer do. Only some of them send it, and over HTTPS only. */
export const ACCEPT_CH = 'Sec-CH-UA-Model, Sec-CH-UA-Platform, Sec-CH-UA-Platform-Version';

/** Whether that peer or hop is one of TRUSTED_PROXIES, however it is written: a port must not make a stranger of it. */
export function trusts(proxies: readonly string[]): (hop: string) => boolean {
  const ranges = proxies.flatMap((proxy) => addressRangeOf(proxy) ?? []);
  return (hop) => {
    const address = canonicalAddress(hop);
    return address !== undefined && isInRanges(address, ranges);
  };
}

/**
 * Whom the request came from: the peer, or whom the last trusted proxy names (TRUSTED_PROXIES). The only place that reads
 * it, so that limits, events, tags and mails know one address by one name. Undefined where the proxy names none.
 */
export const clientAddressOf = ({ ip }: Pick<FastifyRequest, 'ip'>): string | undefined => canonicalAddress(ip);

/** Where a request came from. */
export function originOf(request: FastifyRequest): Origin {
  const sessionId = principalOf(request)?.record.sessionId;
  const ipAddress = clientAddressOf(request);
  return {
    ...(sessionId === undefined ? {} : { sessionId }),
    deviceModel: deviceModel(request.headers),
    ...(ipAddress === undefined ? {} : { ipAddress }),
  };
}

/**
 * What the client says it is: an app names its model, a browser hints at it, else browser and system. It stands in mails
 * that ask "was this you?", so it claims no more than is told: user agents are frozen (Android is always "10; K", a Mac
 * always 10.15.7, an iPad says it is a Mac), so no version is taken from them.
 */
export function deviceModel(headers: Headers): string {
  const named = modelOf(clean(headers['x-device-model'])) ?? modelOf(hint(headers, 'sec-ch-ua-model'));
  return named ?? browserAndSystem(headers) ?? UNKNOWN;
}

export const RequestOrigin = createParamDecorator((_: unknown, context: ExecutionContext) =>
  originOf(context.switchToHttp().getRequest<FastifyRequest>()),
);

type Headers = Record<string, string | string[] | undefined>;

/** "K" is what a browser says that tells no model; others say that they do not know, or only how large it is. */
const modelOf = (text: string | undefined): string | undefined =>
  /^(k|unknown|generic|mobile|tablet)$/i.test(text ?? '') ? undefined : text;

const hint = (headers: Headers, name: string): string | undefined => {
  const value = headers[name];
  // A string of RFC 8941 (3.3.3): quotes and backslashes within it stand behind a backslash.
  return clean(
    (Array.isArray(value) ? value[0] : value)
      ?.trim()
      .replace(/^"(.*)"$/, (_, text: string) => text.replace(/\\(["\\])/g, '$1')),
  );
};

function browserAndSystem(headers: Headers): string | undefined {
  const agent = clean(headers['user-agent'], 1_000);
  if (agent === undefined) return undefined;
  const { os, engine, browser, platform } = Bowser.parse(agent);
  const name = browser.name?.replace(' for Android', '');
  const system = hintedSystem(headers) ?? systemOf(os.name, engine.name, platform.model);
  const model = os.name === 'Android' ? androidModel(agent) : undefined;
  return clean([model, [name, system].filter(Boolean).join(' on ')].filter(Boolean).join(', '));
}

/** A Safari on an iPad says that it is on a Mac; other engines there are none. */
function systemOf(os: string | undefined, engine: string | undefined, model: string | undefined): string | undefined {
  if (os === 'macOS') return engine === 'WebKit' ? 'a Mac or iPad' : 'a Mac';
  if (os === 'iOS') return model === undefined ? 'iOS' : `an ${model}`;
  return os;
}

/** Where a browser tells it outright: the system and its major version. */
function hintedSystem(headers: Headers): string | undefined {
  const platform = hint(headers, 'sec-ch-ua-platform');
  if (platform === undefined || /^unknown$/i.test(platform)) return undefined;
  const major = Number(/^\d+/.exec(hint(headers, 'sec-ch-ua-platform-version') ?? '')?.[0] ?? 0);
  // As Microsoft tells them apart: 13 and above is Windows 11, 1 to 10 is Windows 10, 0 is older.
  if (platform === 'Windows') return major >= 13 ? 'Windows 11' : major >= 1 ? 'Windows 10' : 'Windows';
  if (platform === 'macOS') return major > 0 ? `macOS ${major}` : 'a Mac';
  return platform === 'Android' && major > 0 ? `Android ${major}` : platform;
}

/** What WebViews and older browsers still tell: `(Linux; Android 14; Pixel 8 Build/…; wv)`. */
function androidModel(agent: string): string | undefined {
  const [, model] = /; Android [^;)]*; ([^;)]+?)(?: Build\/[^;)]*)?(?:; wv)?\)/.exec(agent) ?? [];
  return modelOf(model);
}

/** One line of visible text: control and formatting characters would let a header forge a mail or a log line. */
function clean(value: string | string[] | undefined, max = TEXT_MAX): string | undefined {
  const text = (Array.isArray(value) ? value[0] : value)
    ?.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  return text ? Array.from(text).slice(0, max).join('').slice(0, max) : undefined;
}
