/** SQLSTATE → MongoDB's code and name. DocumentDB has a class "M" of its own; the rest is PostgreSQL's. */
const TABLE = `
M0001 2 BadValue, M0003 9 FailedToParse, M00ER 13 Unauthorized, M0004 14 TypeMismatch, M0006 20 IllegalOperation,
M0008 26 NamespaceNotFound, M0009 27 IndexNotFound, M000A 28 PathNotViable, M000D 40 ConflictingUpdateOperators,
M000E 43 CursorNotFound, M000F 48 NamespaceExists, M00EX 50 MaxTimeMSExpired, M000G 52 DollarPrefixedFieldName,
M000J 56 EmptyFieldName, M00EY 59 CommandNotFound, M000M 66 ImmutableField, M000N 67 CannotCreateIndex,
M000O 68 IndexAlreadyExists, M000P 72 InvalidOptions, M000Q 73 InvalidNamespace, M000R 85 IndexOptionsConflict,
M000S 86 IndexKeySpecsConflict, M00F1 112 WriteConflict, M000U 115 CommandNotSupported,
M00CO 121 DocumentFailedValidation, M000W 146 ExceededMemoryLimit, M0012 197 InvalidIndexSpecificationOption,
M0013 224 QueryFeatureNotAllowed, M0016 263 OperationNotSupportedInTransaction, M001B 10334 BSONObjectTooLarge,
M003A 17419 Location17419, M001C 11000 DuplicateKey, M007T 40323 Location40323, M007U 40324 Location40324,
M0088 40415 Location40415,
23505 11000 DuplicateKey, 23P01 11000 DuplicateKey, 40001 112 WriteConflict, 40P01 112 WriteConflict,
55P03 24 LockTimeout, 57014 50 MaxTimeMSExpired, 42P01 26 NamespaceNotFound, 0A000 115 CommandNotSupported,
22P02 9 FailedToParse, 22023 2 BadValue, 53100 14031 OutOfDiskSpace, 54000 10334 BSONObjectTooLarge,
57P01 91 ShutdownInProgress`;

interface MongoCode {
  code: number;
  name: string;
}

const CODES = new Map<string, MongoCode>(
  TABLE.trim()
    .split(/,\s*/)
    .map((entry) => entry.split(' '))
    .map(([state = '', code, name = '']) => [state, { code: Number(code), name }]),
);

export const DUPLICATE_KEY = 11000;
const CONFLICTS = new Set(['40001', '40P01', '55P03']);

export function mongoCode(sqlState: string | undefined): MongoCode | undefined {
  return sqlState === undefined ? undefined : CODES.get(sqlState);
}

/** Serialization failure, deadlock or a lock waited for too long: inside a transaction MongoDB says WriteConflict. */
export function isConflict(sqlState: string | undefined): boolean {
  return sqlState !== undefined && CONFLICTS.has(sqlState);
}

/** DocumentDB puts PostgreSQL's packed SQLSTATE into writeErrors[].code: five characters of six bits. */
export function unpackSqlState(packed: number): string {
  return [0, 6, 12, 18, 24].map((shift) => String.fromCharCode(((packed >> shift) & 63) + 48)).join('');
}

export function sqlStateOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** An error with MongoDB's own code. `extra` are further fields of the reply (keyPattern, keyValue). */
export class MongoError extends Error {
  constructor(
    readonly code: number,
    readonly codeName: string,
    message: string,
    readonly labels: string[] = [],
    readonly extra: Record<string, unknown> = {},
  ) {
    super(message);
  }
}

export const writeConflict = (message: string): MongoError =>
  new MongoError(112, 'WriteConflict', `WriteConflict: ${message}`, ['TransientTransactionError']);

export const noSuchTransaction = (message: string): MongoError =>
  new MongoError(251, 'NoSuchTransaction', message, ['TransientTransactionError']);

export function errorReply(error: unknown): Record<string, unknown> {
  const errmsg = error instanceof Error ? error.message : String(error);
  if (error instanceof MongoError) {
    const labels = error.labels.length ? { errorLabels: error.labels } : {};
    return { ok: 0, errmsg, code: error.code, codeName: error.codeName, ...error.extra, ...labels };
  }
  const state = sqlStateOf(error);
  const known = mongoCode(state) ?? { code: 1, name: `InternalError(${state ?? 'no SQLSTATE'})` };
  return { ok: 0, errmsg, code: known.code, codeName: known.name };
}
