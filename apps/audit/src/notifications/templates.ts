import { z } from 'zod';
import { GUARD_LIMITS, type MailTemplate } from '#contracts';
import type { Block, MailContent } from './render.js';

/** What a template may draw on beside its own parameters. */
export interface MailContext {
  publicUrl: string;
  /** When the mail was written into its row. */
  createdAt: Date;
}

interface Definition<S extends z.ZodType, Secret extends boolean> {
  params: S;
  /** Whether the row must hold a sealed token or code. */
  secret: Secret;
  /** After so many minutes the mail is of no use any more and is not sent. */
  usefulMinutes?: number;
  content: (params: z.output<S>, context: MailContext, secret: Secret extends true ? string : undefined) => MailContent;
}

const define = <S extends z.ZodType, Secret extends boolean>(d: Definition<S, Secret>): Definition<S, Secret> => d;

// A security mail with a gap in it is better than none: a parameter that is missing or odd is left out.
const someText = z.string().optional().catch(undefined);
const someMinutes = z.number().int().positive().optional().catch(undefined);
const someTime = z
  .union([z.string(), z.number()])
  .transform((value) => new Date(value))
  .refine((time) => !Number.isNaN(time.getTime()))
  .optional()
  .catch(undefined);

/** Where and when it happened, as the guard writes it into every security mail. */
const origin = z.object({ deviceModel: someText, ipAddress: someText, at: someTime });
type Origin = z.output<typeof origin>;

export const RECOVERY_CODE_MINUTES = 10;

export const TEMPLATES = {
  email_verify: define({
    params: z.object({}),
    secret: true,
    content: (_params, { publicUrl }, token) => ({
      subject: 'Confirm your e-mail address',
      blocks: [
        paragraph('Please confirm that this address is yours. Recovery works only with a confirmed address.'),
        {
          kind: 'link',
          label: 'Open this link:',
          url: `${publicUrl.replace(/\/+$/, '')}/v1/auth/email/verify?token=${encodeURIComponent(token)}`,
        },
        paragraph('If your application asks for the token itself, it is:'),
        { kind: 'code', code: token },
        paragraph('If you did not register, ignore this message.'),
      ],
    }),
  }),

  face_locked: define({
    params: origin.extend({ lockMinutes: someMinutes, lockedUntil: someTime }),
    secret: false,
    content: ({ lockMinutes, lockedUntil, ...from }, { createdAt }) => {
      const minutes = lockMinutes ?? GUARD_LIMITS.lockMinutes;
      const until = lockedUntil ?? new Date((from.at ?? createdAt).getTime() + minutes * 60_000);
      return {
        subject: 'Face recognition is locked for your account',
        blocks: [
          paragraph(
            `Several attempts in a row did not match your face, so face recognition is locked for ${minutes} minutes.`,
          ),
          facts(from, createdAt, [
            ['Locked for', `${minutes} minutes`],
            ['Locked until', utc(until)],
          ]),
          paragraph(
            'Was it you? Then there is nothing to do: the lock ends by itself. Your password still works, and so does recovery by a mailed code.',
          ),
          paragraph('Was it not you? Then somebody else knows your password. Please:'),
          { kind: 'list', items: WHAT_TO_DO },
        ],
      };
    },
  }),

  face_enrolled: define({
    params: origin.extend({ heldUntil: someTime }),
    secret: false,
    content: ({ heldUntil, ...from }, { createdAt }) => ({
      subject: 'A face was enrolled for your account',
      blocks: [
        paragraph('A face was enrolled for your account and can from now on be used to confirm that it is you.'),
        facts(from, createdAt, heldUntil ? [['Takes full effect', utc(heldUntil)]] : []),
        ...ifNotYou('remove the face and enrol again'),
      ],
    }),
  }),

  face_removed: define({
    params: origin,
    secret: false,
    content: (from, { createdAt }) => ({
      subject: 'Your face was removed from your account',
      blocks: [
        paragraph('The face of your account was removed. Actions that ask for it stay closed until you enrol again.'),
        facts(from, createdAt),
        ...ifNotYou(),
      ],
    }),
  }),

  recovery_code: define({
    params: origin,
    secret: true,
    usefulMinutes: RECOVERY_CODE_MINUTES,
    content: (from, { createdAt }, code) => ({
      subject: 'Your recovery code',
      blocks: [
        paragraph('This code lets you go on without face recognition:'),
        { kind: 'code', code },
        paragraph(`It is valid for ${RECOVERY_CODE_MINUTES} minutes, once, in the session that asked for it.`),
        paragraph(
          'Never share it. Nobody of ours will ask you for it, neither by telephone nor by mail nor in a chat.',
        ),
        facts(from, createdAt),
        paragraph('Did you not ask for it? Then somebody else knows your password: change it now.'),
      ],
    }),
  }),

  recovery_used: define({
    params: origin,
    secret: false,
    content: (from, { createdAt }) => ({
      subject: 'A recovery code was used for your account',
      blocks: [
        paragraph(
          'A session was confirmed with a mailed code instead of your face. The old face no longer counts; please enrol again.',
        ),
        facts(from, createdAt),
        ...ifNotYou('look into who can read your mail'),
      ],
    }),
  }),

  many_failures: define({
    params: origin.extend({ count: someMinutes, days: someMinutes }),
    secret: false,
    content: ({ count, days, ...from }, { createdAt }) => ({
      subject: 'Many failed face attempts on your account',
      blocks: [
        paragraph(
          `In the last ${days ?? GUARD_LIMITS.strikeRingDays} days ${count ?? GUARD_LIMITS.strikesForReview} attempts did not match your face.`,
        ),
        facts(from, createdAt),
        ...ifNotYou(),
      ],
    }),
  }),

  erasure_completed: define({
    params: z.object({}),
    secret: false,
    content: () => ({
      subject: 'Your data has been erased',
      blocks: [
        paragraph(
          'Your account, your face template, your consents and the personal data in your security events have been erased, as requested.',
        ),
        paragraph('What remains is that events happened, under a random identifier that nothing connects with you.'),
        paragraph('This address, too, is deleted with this message. No further mail will come.'),
      ],
    }),
  }),
} as const satisfies Record<MailTemplate, unknown>;

const WHAT_TO_DO = [
  'change your password',
  'end your other sessions',
  'tell the people who run the service, if you can not explain what happened',
] as const;

const paragraph = (text: string): Block => ({ kind: 'paragraph', text });

const facts = (from: Origin, createdAt: Date, more: [string, string][] = []): Block => ({
  kind: 'facts',
  facts: [
    ['Device', from.deviceModel || 'unknown device'],
    ...(from.ipAddress ? [['Network address', from.ipAddress] as const] : []),
    ['Time', utc(from.at ?? createdAt)],
    ...more,
  ],
});

const ifNotYou = (...first: string[]): Block[] => [
  paragraph('If this was you, there is nothing to do. If it was not, please:'),
  { kind: 'list', items: [...WHAT_TO_DO.slice(0, 2), ...first, ...WHAT_TO_DO.slice(2)] },
];

/** `2026-11-23 14:05 UTC` */
const utc = (time: Date): string => `${time.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
