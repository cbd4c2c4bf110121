import { isIP } from 'node:net';
import { PAYLOAD_PARTS, type PayloadPart } from '#audit-log';
import type { AuditEvent } from '#contracts';
import { open, seal, SealError } from '#sealing';

type Personal = Pick<AuditEvent, 'ipAddress' | 'deviceModel' | 'similarity'>;
export type SealedPart = { part: PayloadPart; data: string };

/** Binds a part to its place: the ciphertext of one event does not open as that of another. */
const partAad = (eventId: string, part: PayloadPart): string => `event-part:v1:${eventId}:${part}`;

/** What is personal in an event, in the parts that live for different times and are read by different roles. */
export function sealPayload(event: AuditEvent, dek: Buffer): SealedPart[] {
  const { ipAddress, deviceModel, similarity } = event;
  const ipPrefix = ipAddress && prefixOf(ipAddress);
  const parts: Record<PayloadPart, object | undefined> = {
    address: ipAddress === undefined ? undefined : { ipAddress },
    origin: ipPrefix === undefined && deviceModel === undefined ? undefined : { ipPrefix, deviceModel },
    similarity: similarity === undefined ? undefined : { similarity },
  };
  return PAYLOAD_PARTS.flatMap((part) => {
    if (!parts[part]) return [];
    const sealed = seal(dek, partAad(event.eventId, part), Buffer.from(JSON.stringify(parts[part])));
    return [{ part, data: sealed.toString('base64url') }];
  });
}

/** What of it can be read; a part that does not open is left out, as if it were gone. */
export function openPayload(eventId: string, payload: readonly SealedPart[], dek: Buffer): Personal {
  const found: Record<string, unknown> = {};
  for (const { part, data } of payload) {
    try {
      Object.assign(
        found,
        JSON.parse(open(dek, partAad(eventId, part), Buffer.from(data, 'base64url')).toString('utf8')),
      );
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
    }
  }
  const { ipPrefix, ...personal } = found as Personal & { ipPrefix?: string };
  // After its time the full address is gone and what is left says only which network it was.
  return ipPrefix !== undefined && personal.ipAddress === undefined ? { ...personal, ipAddress: ipPrefix } : personal;
}

/** The network that an address is in: /24 of IPv4, /48 of IPv6. Undefined for what is no address. */
export function prefixOf(address: string): string | undefined {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
  if (isIP(mapped) === 4) return `${mapped.split('.').slice(0, 3).join('.')}.0/24`;
  if (isIP(mapped) !== 6) return undefined;
  const [head = '', tail = ''] = mapped.replace(/%.*$/, '').split('::', 2);
  const left = head.split(':').filter(Boolean);
  const right = mapped.includes('::') ? tail.split(':').filter(Boolean) : [];
  const groups = [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right];
  return `${groups
    .slice(0, 3)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''))
    .join(':')}::/48`;
}
