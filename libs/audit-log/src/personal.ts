import { createHmac, hkdfSync } from 'node:crypto';
import {
  canonicalAddress,
  eventNetworkOf,
  type Origin,
  originSchema,
  PAYLOAD_PARTS,
  type PayloadPart,
  type Personal,
  type SealedPart,
} from '#contracts';
import { type KeySet, open, openText, seal, SealError, sealText } from '#sealing';

/** Binds a part to its place: the ciphertext of one event does not open as that of another. */
const partAad = (eventId: string, part: PayloadPart): string => `event-part:v1:${eventId}:${part}`;
const mailAad = (userId: string): string => `mail-origin:v1:${userId}`;

/** What is personal in an event, in the parts that live for different times and are read by different roles. */
export function sealPersonal(eventId: string, personal: Personal, dek: Uint8Array): SealedPart[] {
  const { ipAddress, deviceModel, similarity } = personal;
  const ipPrefix = ipAddress && eventNetworkOf(ipAddress);
  const parts: Record<PayloadPart, object | undefined> = {
    address: ipAddress === undefined ? undefined : { ipAddress },
    origin: ipPrefix === undefined && deviceModel === undefined ? undefined : { ipPrefix, deviceModel },
    similarity: similarity === undefined ? undefined : { similarity },
  };
  return PAYLOAD_PARTS.flatMap((part) => {
    if (!parts[part]) return [];
    const sealed = seal(dek, partAad(eventId, part), Buffer.from(JSON.stringify(parts[part])));
    return [{ part, data: sealed.toString('base64url') }];
  });
}

/** What of it can be read; a part that does not open is left out, as if it were gone. */
export function openPersonal(eventId: string, payload: readonly SealedPart[], dek: Uint8Array): Personal {
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

/** Device and address for a mail, which is written long before it is sent. */
export const sealMailOrigin = (userId: string, { deviceModel, ipAddress }: Origin, dek: Uint8Array): string =>
  sealText(dek, mailAad(userId), JSON.stringify({ deviceModel, ipAddress }));

/** Empty when it does not open: a mail without it is better than none. */
export function openMailOrigin(userId: string, sealed: string, dek: Uint8Array): Origin {
  try {
    return originSchema.parse(JSON.parse(openText(dek, mailAad(userId), sealed)));
  } catch {
    return {};
  }
}

const TAG_BYTES = 16;

/**
 * Keyed digests by which events of a device, an address or its network are found without anything in clear. The key is
 * derived from the event KEK (HKDF, RFC 5869), so that whoever may open events may search them.
 */
export class SearchTags {
  /** The first makes; what any of them made is found. */
  private readonly keys: Buffer[];

  constructor(eventKeks: KeySet) {
    this.keys = eventKeks.map(({ bytes }) => Buffer.from(hkdfSync('sha256', bytes, '', 'countersign/search-tags', 32)));
  }

  /** At most three: `a` address, `n` network, `d` device. */
  of({ ipAddress, deviceModel }: Personal): string[] {
    const address = canonicalAddress(ipAddress);
    const network = address && eventNetworkOf(address);
    return [
      ...(address ? this.tags('a', address).slice(0, 1) : []),
      ...(network ? this.tags('n', network).slice(0, 1) : []),
      ...(deviceModel ? this.tags('d', deviceModel.toLowerCase()).slice(0, 1) : []),
    ];
  }

  /** Each of these is of this device; one for each key. */
  device(name: string): string[] {
    return this.tags('d', name.trim().toLowerCase());
  }

  /** Of an address, or of a network as it is shown (`192.0.2.0/24`, `2001:db8:1::/48`). */
  address(text: string): string[] {
    const given = text.trim().toLowerCase();
    const [address = '', bits] = given.split('/');
    if (bits !== undefined) return this.tags('n', eventNetworkOf(address) ?? given);
    // Before 0.2.0 what a proxy sent was tagged as it came.
    return [...new Set([canonicalAddress(address) ?? given, given])].flatMap((one) => this.tags('a', one));
  }

  private tags(kind: 'a' | 'n' | 'd', value: string): string[] {
    return this.keys.map((key) => {
      const mac = createHmac('sha256', key).update(`${kind}:${value}`).digest();
      return kind + mac.subarray(0, TAG_BYTES).toString('base64url');
    });
  }
}
