import type { ErrorCode } from '#contracts';

export interface ErrorRow {
  status: number;
  title: string;
  /** Seconds for `Retry-After` where waiting helps and the refusal itself names no better figure. */
  retryAfterSeconds?: number;
}

/** Every error code's HTTP face, in one place. HTTP words stop here: services only know codes. */
export const ERROR_TABLE = {
  invalid_request: { status: 400, title: 'The request is not what this route takes' },
  invalid_credentials: { status: 401, title: 'E-mail or password is wrong' },
  invalid_client: { status: 401, title: 'Client id or secret is wrong' },
  unauthenticated: { status: 401, title: 'A session is needed' },
  forbidden: { status: 403, title: 'This session may not do that' },
  step_up_required: { status: 403, title: 'A higher session level is needed' },
  not_found: { status: 404, title: 'There is no such thing here' },
  method_not_allowed: { status: 405, title: 'This route does not take that method' },
  email_taken: { status: 409, title: 'An account with this e-mail exists' },
  last_admin: { status: 409, title: 'Nobody would be left who is administrator' },
  second_person_required: { status: 403, title: 'That needs somebody else, who is independent of who asked' },
  email_unsupported: { status: 400, title: 'No mail can be sent to such an address' },
  address_held: { status: 409, title: 'The address of this account was just given back or replaced: this waits a day' },
  address_contested: { status: 403, title: 'Two mailboxes claim this account: whoever runs the service decides' },
  not_contested: { status: 409, title: 'Nobody disputes the address of this account' },
  registration_closed: { status: 403, title: 'Registration is closed' },
  password_too_common: { status: 400, title: 'The password is one that everybody tries' },
  password_reused: { status: 400, title: 'The password is the one that was to be replaced' },
  password_reset_required: { status: 403, title: 'The password must be reset by mail first' },
  idempotency_conflict: {
    status: 409,
    title: 'The Idempotency-Key belongs to another request, or to one that still runs',
    retryAfterSeconds: 1,
  },
  email_not_verified: { status: 403, title: 'The e-mail address is not verified' },
  token_invalid: { status: 400, title: 'The link is wrong, used or too old' },
  code_invalid: { status: 400, title: 'The code is wrong, used or too old' },
  too_many_codes: { status: 429, title: 'Too many codes or tries', retryAfterSeconds: 3600 },
  too_many_requests: { status: 429, title: 'Too many requests', retryAfterSeconds: 60 },
  consent_required: { status: 403, title: 'Consent is needed first' },
  consent_outdated: { status: 403, title: 'Consent to the current text is needed' },
  enrolment_required: { status: 403, title: 'No face is enrolled' },
  re_enrolment_required: { status: 403, title: 'The face must be enrolled again' },
  face_disabled: { status: 403, title: 'The face is disabled until it is enrolled again' },
  face_locked: { status: 423, title: 'The face is locked' },
  erasure_pending: { status: 409, title: 'The account is about to be erased' },
  account_inactive: { status: 403, title: 'The account is not active' },
  short_challenges_forbidden: { status: 403, title: 'Short challenges are not allowed here' },
  attempt_in_progress: { status: 409, title: 'Another capture is in progress', retryAfterSeconds: 5 },
  too_many_attempts: { status: 429, title: 'Too many captures', retryAfterSeconds: 600 },
  step_out_of_order: { status: 409, title: 'Another step is awaited' },
  step_already_received: { status: 409, title: 'This step has been received' },
  step_too_early: { status: 409, title: 'The step ended before its window opened' },
  upload_replaced: { status: 409, title: 'A later upload of this session took its place' },
  attempt_over: { status: 410, title: 'This capture is over' },
  frames_reused: { status: 409, title: 'A frame was seen before' },
  frame_times_unusable: { status: 400, title: 'The times of the frames fall, stand still or span too much' },
  too_many_frames: { status: 413, title: 'Too many frames in one step' },
  unsupported_media_type: { status: 415, title: 'This route does not take that content type' },
  unsupported_image: { status: 415, title: 'Frames must be JPEG or WebP' },
  payload_too_large: { status: 413, title: 'The body is too large' },
  image_too_large: { status: 413, title: 'A frame is too large' },
  busy: { status: 503, title: 'No capacity at this moment', retryAfterSeconds: 5 },
  unavailable: { status: 503, title: 'A part of the service does not answer', retryAfterSeconds: 2 },
  internal: { status: 500, title: 'Something went wrong here' },
} as const satisfies Record<ErrorCode, ErrorRow>;

export const errorRow = (code: ErrorCode): ErrorRow => ERROR_TABLE[code];
