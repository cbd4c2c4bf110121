import { sha256Hex } from '../store/keys.js';

const TEXT = [
  'Countersign compares your live face with a template made from your face, to confirm sign-ins to your account.',
  'During a check your camera takes short sequences of pictures. They are processed at once and deleted when the check',
  'is decided, at the latest after two minutes, or after six where it has more than three gestures. Kept are: an',
  'encrypted template from which no one can read a picture,',
  'and a record of each check (time, result, device, address) for security.',
  'The face is never required to recover your account: a code sent to your e-mail address opens it as well.',
  'You may withdraw this consent at any time. The template is then destroyed.',
].join(' ');

/** The text that is in force. A changed text is a new version: whoever agreed to the old one is asked again. */
export const CURRENT_CONSENT = { version: '2026-12', text: TEXT, textSha256: sha256Hex(TEXT) } as const;
