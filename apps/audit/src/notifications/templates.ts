import { z } from 'zod';
import { ADDRESS_LIMITS, GUARD_LIMITS, type MailTemplate } from '#contracts';
import { blocksOf, link, paragraph, someId, someMinutes, someNames, someOrigin, someTime, utc } from './blocks.js';
import type { MailContent } from './render.js';

/** What a template may draw on beside its own parameters. */
export interface MailContext {
  publicUrl: string;
  /** When the mail was written into its row. */
  createdAt: Date;
}

/**
 * The token or code in a mail. `sealed`: the row holds it. `not_me`: made as the mail is sent, for the link by which its
 * reader undoes what it tells of.
 */
export type MailSecret = 'none' | 'sealed' | 'not_me' | 'sealed+not_me';
/** The two, as far as a mail has them. */
export interface MailSecrets {
  sealed?: string | undefined;
  undo?: string | undefined;
}
type GivenSecret<S extends MailSecret> = S extends 'none'
  ? undefined
  : S extends 'sealed+not_me'
    ? { sealed: string; undo: string }
    : string;

interface Definition<S extends z.ZodType, Secret extends MailSecret> {
  params: S;
  secret: Secret;
  /** After so many minutes the mail is of no use any more and is not sent. */
  usefulMinutes?: number;
  content: (params: z.output<S>, context: MailContext, secret: GivenSecret<Secret>) => MailContent;
}

const define = <S extends z.ZodType, Secret extends MailSecret>(d: Definition<S, Secret>): Definition<S, Secret> => d;

export const RECOVERY_CODE_MINUTES = 10;

const { facts, ifNotYou, undo, whatToDo, when } = blocksOf({
  device: 'Device',
  unknownDevice: 'unknown device',
  address: 'Network address',
  time: 'Time',
  ifYou: 'If this was you, there is nothing to do.',
  ifNot: 'If it was not:',
  ifNotPlease: 'If it was not, please:',
  andPlease: 'And please:',
  undo: 'This link ends every session, closes the account until you choose a new password and removes a face that was just enrolled; it is valid for 7 days, once:',
  whatToDo: ['change your password', 'end your other sessions'],
  atLast: 'tell the people who run the service, if you can not explain what happened',
});

/** What staff did: when, and never from where. */
const staffAt = z.object({ at: someTime });

const elsewhere = (fresh: string | undefined): string => {
  if (fresh === 'device') return 'on a device that had not been used for it before.';
  if (fresh === 'network') return 'from a network that had not been used for it before.';
  return 'on a device and from a network that had not been used for it before.';
};

/** What each mail takes, and what it says in English. The other languages have the same `content` in files of their own. */
export const TEMPLATES = {
  email_verify: define({
    params: z.object({}),
    secret: 'sealed',
    content: (_params, { publicUrl }, token) => ({
      subject: 'Confirm your e-mail address',
      blocks: [
        paragraph('Please confirm that this address is yours. Recovery works only with a confirmed address.'),
        link('Open this link:', publicUrl, 'verify-email', token),
        paragraph('If your application asks for the token itself, it is:'),
        { kind: 'code', code: token },
        paragraph('If you did not register, ignore this message.'),
      ],
    }),
  }),

  email_change_notice: define({
    params: someOrigin.extend({ hours: someMinutes }),
    secret: 'sealed+not_me',
    usefulMinutes: 24 * 60,
    content: ({ hours, ...from }, { createdAt, publicUrl }, { sealed, undo: notMe }) => ({
      subject: 'Another e-mail address was asked for',
      blocks: [
        paragraph(
          `Somebody who is signed in to your account wants another e-mail address for it. It changes ${hours ?? 24} hours after the new address is confirmed.`,
        ),
        facts(from, createdAt),
        link('If this was not you, keep this address:', publicUrl, 'cancel-email-change', sealed),
        undo(publicUrl, notMe),
        ...whatToDo(),
      ],
    }),
  }),

  email_change_confirm: define({
    params: someOrigin.extend({ hours: someMinutes }),
    secret: 'sealed',
    usefulMinutes: 24 * 60,
    content: ({ hours, ...from }, { createdAt, publicUrl }, token) => ({
      subject: 'Confirm your new e-mail address',
      blocks: [
        paragraph('Please confirm that this address is yours.'),
        facts(from, createdAt),
        link('Open this link:', publicUrl, 'confirm-email-change', token),
        paragraph(`It becomes the address of your account ${hours ?? 24} hours later.`),
        paragraph('If you do not know what this is about, ignore this message.'),
      ],
    }),
  }),

  email_changed: define({
    params: z.object({}),
    secret: 'not_me',
    content: (_params, { createdAt, publicUrl }, token) => ({
      subject: 'The e-mail address of your account was changed',
      blocks: [
        paragraph('The change that was announced is done: this is the address of your account from now on.'),
        when(createdAt),
        ...ifNotYou(undo(publicUrl, token)),
      ],
    }),
  }),

  email_changed_undo: define({
    params: z.object({}),
    secret: 'sealed',
    usefulMinutes: ADDRESS_LIMITS.undoDays * 24 * 60,
    content: (_params, { createdAt, publicUrl }, token) => ({
      subject: 'Your account has another e-mail address now',
      blocks: [
        paragraph('The change that was announced is done: messages go to the new address only.'),
        when(createdAt),
        paragraph('If this was you, there is nothing to do. If it was not:'),
        link(
          `This link gives your account this address back and ends every session; it is valid for ${ADDRESS_LIMITS.undoDays} days, once:`,
          publicUrl,
          'undo-email-change',
          token,
        ),
      ],
    }),
  }),

  email_undone: define({
    params: someOrigin.extend({ hours: someMinutes }),
    secret: 'not_me',
    content: ({ hours, ...from }, { createdAt, publicUrl }, token) => ({
      subject: 'Your account has this e-mail address back',
      blocks: [
        paragraph('The change of address was undone with a link in this mailbox. Every session was ended.'),
        facts(from, createdAt),
        paragraph(
          `For ${hours ?? ADDRESS_LIMITS.holdHours} hours the other address may object. Until then no password is reset by mail, no recovery code is sent, and a face of the account raises nothing. Then reset your password.`,
        ),
        ...ifNotYou(undo(publicUrl, token), 'look into who can read your mail'),
      ],
    }),
  }),

  email_objection: define({
    params: someOrigin.extend({ hours: someMinutes }),
    secret: 'sealed',
    usefulMinutes: ADDRESS_LIMITS.holdHours * 60,
    content: ({ hours, ...from }, { createdAt, publicUrl }, token) => ({
      subject: 'Your account has another e-mail address again',
      blocks: [
        paragraph('Whoever reads the address that the account had before took it back. Every session was ended.'),
        facts(from, createdAt),
        paragraph('If the account is not yours, or this was you, there is nothing to do. If the account is yours:'),
        link(
          `Object within ${hours ?? ADDRESS_LIMITS.holdHours} hours. Then nobody can sign in until the people who run the service have decided whose account it is:`,
          publicUrl,
          'object-email-change',
          token,
        ),
      ],
    }),
  }),

  email_contested: define({
    params: z.object({}),
    secret: 'none',
    content: (_params, { createdAt }) => ({
      subject: 'Two mailboxes claim your account',
      blocks: [
        paragraph('The address of the account was changed back, and the other address has objected.'),
        when(createdAt),
        paragraph(
          'Nobody can sign in until the people who run the service have decided whose account it is. Please tell them, and be ready to show who you are.',
        ),
      ],
    }),
  }),

  email_decided: define({
    params: z.object({}),
    secret: 'not_me',
    content: (_params, { createdAt, publicUrl }, token) => ({
      subject: 'Your account was given to this e-mail address',
      blocks: [
        paragraph('The people who run the service have decided whose account it is: yours.'),
        when(createdAt),
        paragraph('Please have the password reset before you sign in: the one of before counts no more.'),
        ...ifNotYou(undo(publicUrl, token)),
      ],
    }),
  }),

  email_decided_other: define({
    params: z.object({}),
    secret: 'none',
    content: (_params, { createdAt }) => ({
      subject: 'The account was given to another e-mail address',
      blocks: [
        paragraph('The people who run the service have decided whose account it is: that of the other address.'),
        when(createdAt),
        paragraph('If this is wrong, please tell them. No further mail about this account comes to this address.'),
      ],
    }),
  }),

  registration: define({
    params: z.object({}),
    secret: 'sealed',
    usefulMinutes: 48 * 60,
    content: (_params, { publicUrl }, token) => ({
      subject: 'Finish your registration',
      blocks: [
        paragraph('Somebody registered with this address. If it was you, choose a password, and the account is yours.'),
        link('Open this link, it is valid for 48 hours, once:', publicUrl, 'finish-registration', token),
        paragraph('If your application asks for the token itself, it is:'),
        { kind: 'code', code: token },
        paragraph('If you did not register, ignore this message: without this link nobody can sign in.'),
      ],
    }),
  }),

  account_exists: define({
    params: z.object({}),
    secret: 'none',
    content: () => ({
      subject: 'You already have an account',
      blocks: [
        paragraph(
          'Somebody tried to register with this address. There is an account with it already, and it is unchanged.',
        ),
        paragraph('If it was you, sign in, or have a forgotten password reset. If not, there is nothing to do.'),
      ],
    }),
  }),

  account_invite: define({
    params: z.object({}),
    secret: 'sealed',
    usefulMinutes: 7 * 24 * 60,
    content: (_params, { publicUrl }, token) => ({
      subject: 'You are invited',
      blocks: [
        paragraph('An account was made for you. Choose a password, and it is yours.'),
        link('Open this link, it is valid for 7 days:', publicUrl, 'accept-invitation', token),
      ],
    }),
  }),

  password_reset: define({
    params: z.object({}),
    secret: 'sealed',
    usefulMinutes: 60,
    content: (_params, { publicUrl }, token) => ({
      subject: 'Choose a new password',
      blocks: [
        paragraph('A new password was asked for. It changes nothing about your face, and a locked face stays locked.'),
        link('Open this link, it is valid for an hour, once:', publicUrl, 'reset-password', token),
        paragraph('If you did not ask for it, ignore this message: your password stays as it is.'),
      ],
    }),
  }),

  login_link: define({
    params: z.object({}),
    secret: 'sealed',
    usefulMinutes: 60,
    content: (_params, { publicUrl }, token) => ({
      subject: 'Sign in while others try your account',
      blocks: [
        paragraph('A link was asked for that lets you sign in with your password, however often others have tried it.'),
        link('Open this link, it is valid for an hour, for one try:', publicUrl, 'log-in', token),
        paragraph('If your application asks for the token itself, it is:'),
        { kind: 'code', code: token },
        paragraph('If you did not ask for it, ignore this message: without your password the link opens nothing.'),
      ],
    }),
  }),

  login_new: define({
    params: someOrigin.extend({ fresh: someNames }),
    secret: 'not_me',
    content: ({ fresh, ...from }, { createdAt, publicUrl }, token) => ({
      subject: 'A sign-in to your account from elsewhere',
      blocks: [
        paragraph(`Somebody signed in to your account with your password, ${elsewhere(fresh)}`),
        facts(from, createdAt),
        ...ifNotYou(undo(publicUrl, token)),
      ],
    }),
  }),

  password_changed: define({
    params: someOrigin,
    secret: 'not_me',
    content: (from, { createdAt, publicUrl }, token) => ({
      subject: 'The password of your account was changed',
      blocks: [
        paragraph('A new password counts for your account from now on. Other sessions were ended.'),
        facts(from, createdAt),
        ...ifNotYou(undo(publicUrl, token), 'look into who can read your mail'),
      ],
    }),
  }),

  face_unlocked: define({
    params: staffAt,
    secret: 'not_me',
    content: ({ at }, { createdAt, publicUrl }, token) => ({
      subject: 'The lock of your face was ended',
      blocks: [
        paragraph('Face recognition works again for your account: whoever runs the service ended its lock.'),
        when(at ?? createdAt),
        paragraph('If you did not ask for it:'),
        undo(publicUrl, token),
        ...whatToDo(),
      ],
    }),
  }),

  account_disabled: define({
    params: staffAt,
    secret: 'none',
    content: ({ at }, { createdAt }) => ({
      subject: 'Your account was disabled',
      blocks: [
        paragraph('Whoever runs the service shut your account: its sessions were ended and nobody can sign in to it.'),
        when(at ?? createdAt),
        paragraph('If you do not know why, ask the people who run the service.'),
      ],
    }),
  }),

  account_enabled: define({
    params: staffAt,
    secret: 'not_me',
    content: ({ at }, { createdAt, publicUrl }, token) => ({
      subject: 'Your account was enabled again',
      blocks: [
        paragraph('Whoever runs the service opened your account again: you can sign in as before.'),
        when(at ?? createdAt),
        paragraph('If you did not expect it:'),
        undo(publicUrl, token),
        ...whatToDo(),
      ],
    }),
  }),

  roles_changed: define({
    params: staffAt.extend({ added: someNames, removed: someNames }),
    secret: 'none',
    content: ({ at, added, removed }, { createdAt }) => ({
      subject: 'Your roles were changed',
      blocks: [
        paragraph(
          'Whoever runs the service gave your account roles or took some away. Its sessions were ended: sign in again.',
        ),
        when(at ?? createdAt, { Given: added, 'Taken away': removed }),
        paragraph('If you do not know why, ask the people who run the service.'),
      ],
    }),
  }),

  role_request: define({
    params: z.object({ roles: someNames, userId: someId, by: someId, requestId: someId }),
    secret: 'none',
    usefulMinutes: 72 * 60,
    content: ({ roles, userId, by, requestId }, { createdAt }) => ({
      subject: 'Roles were asked for',
      blocks: [
        paragraph(
          'An administrator asked that an account be given roles. It needs another administrator, who confirms.',
        ),
        {
          kind: 'facts',
          facts: [
            ['Roles', roles ?? 'unknown'],
            ['Account', userId ?? 'unknown'],
            ['Asked by', by ?? 'unknown'],
            ['Request', requestId ?? 'unknown'],
            ['Time', utc(createdAt)],
          ],
        },
        paragraph(
          'The request ends by itself after 72 hours. If nobody should have asked, refuse it, and look into who did.',
        ),
      ],
    }),
  }),

  re_enrolment_reminder: define({
    params: z.object({ days: someMinutes, until: someTime }),
    secret: 'none',
    content: ({ days, until }) => ({
      subject: 'Your face must be enrolled again soon',
      blocks: [
        paragraph(
          `Faces change, so an enrolment counts for a limited time. Yours ends in ${days === 1 ? 'a day' : `${days ?? 14} days`}${until ? `, on ${utc(until)}` : ''}.`,
        ),
        paragraph('Please sign in, confirm with your face and enrol it again; it takes half a minute.'),
        paragraph('After that day a mailed code is needed first, and the new face waits a day before it counts.'),
      ],
    }),
  }),

  face_locked: define({
    params: someOrigin.extend({ lockMinutes: someMinutes, lockedUntil: someTime }),
    secret: 'not_me',
    content: ({ lockMinutes, lockedUntil, ...from }, { createdAt, publicUrl }, token) => {
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
          paragraph('Was it not you? Then somebody else knows your password.'),
          undo(publicUrl, token),
          ...whatToDo(),
        ],
      };
    },
  }),

  face_enrolled: define({
    params: someOrigin.extend({ heldUntil: someTime }),
    secret: 'not_me',
    content: ({ heldUntil, ...from }, { createdAt, publicUrl }, token) => ({
      subject: 'A face was enrolled for your account',
      blocks: [
        paragraph('A face was enrolled for your account and can from now on be used to confirm that it is you.'),
        facts(from, createdAt, heldUntil ? [['Takes full effect', utc(heldUntil)]] : []),
        ...ifNotYou(undo(publicUrl, token), 'remove the face and enrol again'),
      ],
    }),
  }),

  face_removed: define({
    params: someOrigin,
    secret: 'not_me',
    content: (from, { createdAt, publicUrl }, token) => ({
      subject: 'Your face was removed from your account',
      blocks: [
        paragraph('The face of your account was removed. Actions that ask for it stay closed until you enrol again.'),
        facts(from, createdAt),
        ...ifNotYou(undo(publicUrl, token)),
      ],
    }),
  }),

  face_demanded: define({
    params: staffAt,
    secret: 'none',
    content: ({ at }, { createdAt }) => ({
      subject: 'Your face must be enrolled again',
      blocks: [
        paragraph(
          'Whoever runs the service asks for a new enrolment: the face of your account no longer counts. Actions that ask for it stay closed until you enrol again.',
        ),
        when(at ?? createdAt),
        paragraph('Please sign in and enrol again. If you do not know why, ask the people who run the service.'),
      ],
    }),
  }),

  recovery_code: define({
    params: someOrigin,
    secret: 'sealed+not_me',
    usefulMinutes: RECOVERY_CODE_MINUTES,
    content: (from, { createdAt, publicUrl }, { sealed: code, undo: notMe }) => ({
      subject: 'Your recovery code',
      blocks: [
        paragraph('This code lets you go on without face recognition:'),
        { kind: 'code', code },
        paragraph(`It is valid for ${RECOVERY_CODE_MINUTES} minutes, once, in the session that asked for it.`),
        paragraph(
          'Never share it. Nobody of ours will ask you for it, neither by telephone nor by mail nor in a chat.',
        ),
        facts(from, createdAt),
        paragraph('Did you not ask for it? Then somebody else knows your password.'),
        undo(publicUrl, notMe),
      ],
    }),
  }),

  recovery_used: define({
    params: someOrigin,
    secret: 'not_me',
    content: (from, { createdAt, publicUrl }, token) => ({
      subject: 'A recovery code was used for your account',
      blocks: [
        paragraph(
          'A session was confirmed with a mailed code instead of your face. The old face no longer counts; please enrol again.',
        ),
        facts(from, createdAt),
        ...ifNotYou(undo(publicUrl, token), 'look into who can read your mail'),
      ],
    }),
  }),

  many_failures: define({
    params: someOrigin.extend({ count: someMinutes, days: someMinutes }),
    secret: 'not_me',
    content: ({ count, days, ...from }, { createdAt, publicUrl }, token) => ({
      subject: 'Many failed face attempts on your account',
      blocks: [
        paragraph(
          `In the last ${days ?? GUARD_LIMITS.strikeRingDays} days ${count ?? GUARD_LIMITS.strikesForReview} attempts did not match your face.`,
        ),
        facts(from, createdAt),
        ...ifNotYou(undo(publicUrl, token)),
      ],
    }),
  }),

  erasure_announced: define({
    params: someOrigin.extend({ hours: someMinutes }),
    secret: 'sealed+not_me',
    content: ({ hours, ...from }, { createdAt, publicUrl }, { sealed, undo: notMe }) => ({
      subject: 'Your account will be erased',
      blocks: [
        paragraph(
          `Somebody who is signed in to your account asked for its erasure. Your face template is destroyed already; all the rest goes ${hours ?? 72} hours after this message. Until then you can use the account, and its address stays what it is.`,
        ),
        facts(from, createdAt),
        link('To keep the account, open this link:', publicUrl, 'cancel-erasure', sealed),
        ...ifNotYou(undo(publicUrl, notMe)),
      ],
    }),
  }),

  erasure_cancelled: define({
    params: someOrigin,
    secret: 'not_me',
    content: (from, { createdAt, publicUrl }, token) => ({
      subject: 'Your account will not be erased',
      blocks: [
        paragraph(
          'The erasure of your account was stopped. The account goes on; your face was removed and has to be enrolled again.',
        ),
        facts(from, createdAt),
        ...ifNotYou(undo(publicUrl, token)),
      ],
    }),
  }),

  erasure_completed: define({
    params: z.object({}),
    secret: 'none',
    content: (_params, { createdAt }) => ({
      subject: 'Your data has been erased',
      blocks: [
        paragraph(
          'Your account, your face template, your consents and the personal data in your security events have been erased, as requested.',
        ),
        when(createdAt),
        paragraph('What remains is that events happened, under a random identifier that nothing connects with you.'),
        paragraph('This address, too, is deleted with this message. No further mail will come.'),
      ],
    }),
  }),
} as const satisfies Record<MailTemplate, unknown>;
