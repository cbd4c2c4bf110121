import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import Bowser from 'bowser';
import type { FastifyRequest } from 'fastify';
import { addressRangeOf, canonicalAddress, isInRanges, type Origin } from '#contracts';
import { principalOf } from './principal.js';

const TEXT_MAX = 120;
const UNKNOWN = 'an unknown device';

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

/** What the client says it is: an app names its model, a browser hints at it, else the user agent is read. */
export function deviceModel(headers: Record<string, string | string[] | undefined>): string {
  const named = clean(headers['x-device-model']) ?? clean(unquote(headers['sec-ch-ua-model']));
  return named ?? fromUserAgent(clean(headers['user-agent'], 1_000)) ?? UNKNOWN;
}

export const RequestOrigin = createParamDecorator((_: unknown, context: ExecutionContext) =>
  originOf(context.switchToHttp().getRequest<FastifyRequest>()),
);

function fromUserAgent(agent: string | undefined): string | undefined {
  if (agent === undefined) return undefined;
  const { platform, os, browser } = Bowser.parse(agent);
  const device = [platform.vendor, platform.model].filter(Boolean).join(' ');
  const system = [os.name, os.versionName ?? os.version].filter(Boolean).join(' ');
  return clean([device, browser.name, system].filter(Boolean).join(', '));
}

/** One line of visible text: control and formatting characters would let a header forge a mail or a log line. */
function clean(value: string | string[] | undefined, max = TEXT_MAX): string | undefined {
  const text = (Array.isArray(value) ? value[0] : value)
    ?.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  return text ? Array.from(text).slice(0, max).join('').slice(0, max) : undefined;
}

const unquote = (value: string | string[] | undefined): string | undefined =>
  (Array.isArray(value) ? value[0] : value)?.replace(/^"(.*)"$/, '$1');
