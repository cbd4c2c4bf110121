// Made from the gateway's OpenAPI document by "npm run client:build". Do not edit.

export type BegunCapture = {
  attemptId: string;
  expiresAt: string;
  step: Step | null;
  capture: {
    fpsMin: number;
    fpsMax: number;
    framesMax: number;
    frameBytesMax: number;
    framePixelsMax: number;
    bytesMax: number;
    format: string[];
  };
};

export type ClientToken = { token: string; expiresAt: string; clientId: string };

export type Introspection =
  | { active: false }
  | {
      active: true;
      sub: string;
      acr: 'urn:countersign:pwd' | 'urn:countersign:pwd+recovery' | 'urn:countersign:pwd+face';
      amr: ('pwd' | 'face' | 'mfa')[];
      authTime: string;
      faceAuthTime: string | null;
      levels: {
        acr: 'urn:countersign:pwd' | 'urn:countersign:pwd+recovery' | 'urn:countersign:pwd+face';
        at: string;
      }[];
      clientId: string;
    };

export type NewSession = {
  token: string;
  acr: 'urn:countersign:pwd' | 'urn:countersign:pwd+recovery' | 'urn:countersign:pwd+face';
  amr: ('pwd' | 'face' | 'mfa')[];
  authTime: string;
  faceAuthTime: string | null;
};

export type Outcome =
  | { status: 'capturing'; expiresAt: string; step: Step }
  | { status: 'deciding' }
  | { status: 'verified'; session: NewSession }
  | { status: 'not_verified' | 'cancelled' | 'expired'; attemptsRemaining?: number }
  | {
      status: 'retry';
      quality:
        | 'no_face'
        | 'multiple_faces'
        | 'too_dark'
        | 'too_bright'
        | 'too_far'
        | 'too_close'
        | 'off_centre'
        | 'blurred'
        | 'eyes_hidden'
        | 'face_covered'
        | 'too_few_frames'
        | 'moved_too_much'
        | 'unreadable';
      attemptsRemaining?: number;
    }
  | { status: 'locked'; minutes: number; lockedUntil: string }
  | { status: 'enrolled' | 'practised' | 'error' };

export type Progress = { status: 'capturing'; expiresAt: string; step: Step } | { status: 'deciding' };

export type Session = {
  userId: string;
  email: string;
  emailVerified: boolean;
  sessionId: string;
  acr: 'urn:countersign:pwd' | 'urn:countersign:pwd+recovery' | 'urn:countersign:pwd+face';
  amr: ('pwd' | 'face' | 'mfa')[];
  authTime: string;
  faceAuthTime: string | null;
  newEmail: { email: string; requestedAt: string; changesAt: string | null } | null;
  addressHeldUntil: string | null;
  face: { enrolled: boolean; required: boolean; lockedUntil?: string; reEnrolBy?: string; heldUntil?: string };
};

export type Step = {
  index: number;
  count: number;
  action: 'blink' | 'turn_left' | 'turn_right' | 'smile';
  windowMs: number;
};

/** Why one of these operations was refused. */
export type ErrorCode =
  | 'account_inactive'
  | 'address_contested'
  | 'address_held'
  | 'attempt_in_progress'
  | 'attempt_over'
  | 'busy'
  | 'code_invalid'
  | 'consent_outdated'
  | 'consent_required'
  | 'email_not_verified'
  | 'email_unsupported'
  | 'enrolment_required'
  | 'erasure_pending'
  | 'face_disabled'
  | 'face_locked'
  | 'forbidden'
  | 'frame_times_unusable'
  | 'frames_reused'
  | 'idempotency_conflict'
  | 'image_too_large'
  | 'internal'
  | 'invalid_client'
  | 'invalid_credentials'
  | 'invalid_request'
  | 'not_found'
  | 'password_reset_required'
  | 'payload_too_large'
  | 're_enrolment_required'
  | 'step_already_received'
  | 'step_out_of_order'
  | 'step_too_early'
  | 'too_many_attempts'
  | 'too_many_codes'
  | 'too_many_frames'
  | 'too_many_requests'
  | 'unauthenticated'
  | 'unavailable'
  | 'unsupported_image'
  | 'unsupported_media_type'
  | 'upload_replaced';

export interface Operations {
  /** Opens a session by password */
  'POST /v1/auth/login': { body: { email: string; password: string }; answer: NewSession };
  /** Ends this session */
  'POST /v1/auth/logout': { body: undefined; answer: undefined };
  /** This session: its level, and the state of the face */
  'GET /v1/auth/session': { body: undefined; answer: Session };
  /** Makes a token by which one relying application asks about this session */
  'POST /v1/sessions/tokens': { body: { clientId: string }; answer: ClientToken };
  /** What the session of a token is worth */
  'POST /v1/sessions/introspect': { body: { token: string }; answer: Introspection };
  /** Begins an attempt to be recognised */
  'POST /v1/face/attempts': { body: undefined; answer: BegunCapture };
  /** Takes the frames of one step and reveals the next */
  'POST /v1/face/attempts/{id}/steps/{n}': { body: Uint8Array; answer: Progress };
  /** What became of a capture; waits for it */
  'GET /v1/face/attempts/{id}': { body: undefined; answer: Outcome };
  /** Cancels a capture */
  'DELETE /v1/face/attempts/{id}': { body: undefined; answer: undefined };
  /** Mails a code that stands in for the face */
  'POST /v1/recovery/codes': { body: undefined; answer: { expiresAt: string } };
  /** Raises the session to pwd+recovery by the mailed code */
  'POST /v1/recovery/verify': { body: { code: string }; answer: NewSession };
}
