import { z } from 'zod';
import type { Block } from './render.js';

// A security mail with a gap in it is better than none: a parameter that is missing or odd is left out.
const someText = z.string().optional().catch(undefined);
export const someMinutes = z.number().int().positive().optional().catch(undefined);
export const someId = z.uuid().optional().catch(undefined);
/** Names of ours, in a list: letters only. */
export const someNames = z.string().regex(/^[a-z, ]{1,100}$/).optional().catch(undefined); // prettier-ignore
export const someTime = z
  .union([z.string(), z.number()])
  .transform((value) => new Date(value))
  .refine((time) => !Number.isNaN(time.getTime()))
  .optional()
  .catch(undefined);

/** Where and when it happened, as the guard writes it into every security mail. */
export const someOrigin = z.object({ deviceModel: someText, ipAddress: someText, at: someTime });
type SomeOrigin = z.output<typeof someOrigin>;

export const paragraph = (text: string): Block => ({ kind: 'paragraph', text });

export const link = (label: string, publicUrl: string, page: string, token: string): Block => ({
  kind: 'link',
  label,
  url: `${publicUrl.replace(/\/+$/, '')}/${page}?token=${encodeURIComponent(token)}`,
});

/** `2026-11-23 14:05 UTC` */
export const utc = (time: Date): string => `${time.toISOString().slice(0, 16).replace('T', ' ')} UTC`;

/** What several mails of a language say. */
interface Phrases {
  device: string;
  unknownDevice: string;
  address: string;
  time: string;
  ifYou: string;
  ifNot: string;
  ifNotPlease: string;
  andPlease: string;
  undo: string;
  whatToDo: readonly string[];
  atLast: string;
}

export function blocksOf(phrases: Phrases) {
  const list = (...more: string[]): Block => ({
    kind: 'list',
    items: [...phrases.whatToDo, ...more, phrases.atLast],
  });
  return {
    facts: (from: SomeOrigin, createdAt: Date, more: [string, string][] = []): Block => ({
      kind: 'facts',
      facts: [
        [phrases.device, from.deviceModel || phrases.unknownDevice],
        ...(from.ipAddress ? [[phrases.address, from.ipAddress] as const] : []),
        [phrases.time, utc(from.at ?? createdAt)],
        ...more,
      ],
    }),
    /** Of what our staff or we ourselves did: never from where. */
    when: (time: Date, more: Readonly<Record<string, string | undefined>> = {}): Block => {
      const told = Object.entries(more).flatMap(([name, value]): [string, string][] => (value ? [[name, value]] : []));
      return { kind: 'facts', facts: [...told, [phrases.time, utc(time)]] };
    },
    undo: (publicUrl: string, token: string): Block => link(phrases.undo, publicUrl, 'not-me', token),
    whatToDo: (): Block[] => [paragraph(phrases.andPlease), list()],
    ifNotYou: (undone: Block | null, ...more: string[]): Block[] =>
      undone
        ? [paragraph(`${phrases.ifYou} ${phrases.ifNot}`), undone, paragraph(phrases.andPlease), list(...more)]
        : [paragraph(`${phrases.ifYou} ${phrases.ifNotPlease}`), list(...more)],
  };
}
