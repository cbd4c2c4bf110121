import { z } from 'zod';
import { ACR, type Acr, acrSchema, type Amr, amrSchema } from '#contracts';

/** What Redis keeps of a session, under the hash of its token. Times in ms since 1970. */
export const sessionRecordSchema = z.strictObject({
  /** Made at login, survives every new token; the one that audit events name. */
  sessionId: z.uuid(),
  userId: z.uuid(),
  acr: acrSchema,
  amr: amrSchema,
  authTime: z.int(),
  faceAuthTime: z.int().nullable(),
  /** The account's `sessionEpoch` at login; another value in MongoDB means that the session was ended. */
  epoch: z.int(),
  expiresAt: z.int(),
  /** The attempt that raised this session last: its answer can be given again. */
  raisedBy: z.uuid().nullable(),
  /** Of the login, for the list of one's own sessions. */
  deviceModel: z.string().max(120).optional(),
});
export type SessionRecord = z.infer<typeof sessionRecordSchema>;

const LEVEL: Record<Acr, number> = { [ACR.pwd]: 0, [ACR.otp]: 1, [ACR.face]: 2 };

/** A raise never lowers. */
export const higher = (a: Acr, b: Acr): Acr => (LEVEL[a] >= LEVEL[b] ? a : b);

export function raisedByFace(record: SessionRecord, attemptId: string, at: Date): SessionRecord {
  return {
    ...record,
    acr: ACR.face,
    amr: withMethods(record.amr, 'face'),
    faceAuthTime: at.getTime(),
    raisedBy: attemptId,
  };
}

/** A verified attempt against a template still held: more than a password, and not a face. */
export function raisedByHeldFace(record: SessionRecord, attemptId: string): SessionRecord {
  return { ...record, acr: higher(record.acr, ACR.otp), raisedBy: attemptId };
}

export function raisedByCode(record: SessionRecord): SessionRecord {
  return { ...record, acr: higher(record.acr, ACR.otp), amr: withMethods(record.amr, 'otp') };
}

const withMethods = (amr: Amr, method: 'face' | 'otp'): Amr => [...new Set<Amr[number]>([...amr, method, 'mfa'])];

/** What a client learns of its session, with the token when it is a new one. */
export const sessionAnswerSchema = z
  .strictObject({
    token: z.string().meta({ description: 'Sent as Authorization: Bearer. The one before it is dead.' }),
    acr: acrSchema,
    amr: amrSchema,
    authTime: z.iso.datetime(),
    faceAuthTime: z.iso.datetime().nullable(),
  })
  .meta({ id: 'NewSession' });

export const sessionAnswer = (token: string, record: SessionRecord): z.infer<typeof sessionAnswerSchema> => ({
  token,
  acr: record.acr,
  amr: record.amr,
  ...sessionTimes(record),
});

/** ISO 8601. `faceAuthTime` is null unless a verified attempt has raised the session. */
export const sessionTimes = (record: SessionRecord) => ({
  authTime: new Date(record.authTime).toISOString(),
  faceAuthTime: record.faceAuthTime === null ? null : new Date(record.faceAuthTime).toISOString(),
});
