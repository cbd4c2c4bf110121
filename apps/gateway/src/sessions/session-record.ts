import { z } from 'zod';
import { acrSchema, amrSchema, methodsSchema, reached } from '#contracts';

/**
 * Raised with every change of the record. What another version wrote is no session here: its owner logs in again. 0.1 had
 * none; from 0.2 on two versions may run side by side.
 */
export const SESSION_RECORD_VERSION = 1;

/** What Redis keeps of a session, under the hash of its token. Times in ms since 1970. */
export const sessionRecordSchema = z.strictObject({
  version: z.literal(SESSION_RECORD_VERSION),
  /** Made at login, survives every new token; the one that audit events name. */
  sessionId: z.uuid(),
  userId: z.uuid(),
  methods: methodsSchema,
  /** The account's `sessionEpoch` at login; another value in MongoDB means that the session was ended. */
  epoch: z.int(),
  /** When it proved more than a password: an accepted invitation opened it, or it verified the address. */
  provedAt: z.int().nullable(),
  expiresAt: z.int(),
  /** The verified attempt that this session was given last: its answer can be given again. */
  redeemed: z.uuid().nullable(),
  /** Of the login, for the list of one's own sessions. */
  deviceModel: z.string().max(120).optional(),
});
export type SessionRecord = z.infer<typeof sessionRecordSchema>;

/** `at`: when the attempt was decided, by the database's clock; never later than now by this one. */
export const raisedByFace = (record: SessionRecord, attemptId: string, at: Date): SessionRecord => ({
  ...record,
  methods: { ...record.methods, face: Math.min(at.getTime(), Date.now()) },
  redeemed: attemptId,
});

/** A verified attempt against a template still held: the session keeps the level that it had. */
export const keptByHeldFace = (record: SessionRecord, attemptId: string): SessionRecord => ({
  ...record,
  redeemed: attemptId,
});

export const raisedByCode = (record: SessionRecord): SessionRecord => ({
  ...record,
  methods: { ...record.methods, recovery: Date.now() },
});

export const withPassword = (record: SessionRecord): SessionRecord => ({
  ...record,
  methods: { ...record.methods, pwd: Date.now() },
});

export const provedByLink = (record: SessionRecord): SessionRecord => ({ ...record, provedAt: Date.now() });

/** As `reached` has it, at this moment. */
export const levelsOf = ({ methods }: SessionRecord): ReturnType<typeof reached> => reached(methods, Date.now());

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

export function sessionAnswer(token: string, record: SessionRecord): z.infer<typeof sessionAnswerSchema> {
  const [{ acr, amr }] = levelsOf(record);
  return { token, acr, amr, ...sessionTimes(record) };
}

/** ISO 8601. `faceAuthTime` is null unless a verified attempt has raised the session. */
export const sessionTimes = ({ methods }: SessionRecord) => ({
  authTime: new Date(methods.pwd).toISOString(),
  faceAuthTime: methods.face === undefined ? null : new Date(methods.face).toISOString(),
});
