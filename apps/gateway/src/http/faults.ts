import { HttpException } from '@nestjs/common';
import type { ErrorCode } from '#contracts';
import { TransportDownError } from '#queue';
import { Problem } from './problem.js';

/**
 * What went wrong, as a problem. An outage of Redis, MongoDB or the audit service is `unavailable`; whatever nobody
 * foresaw is `internal`, and its text goes nowhere.
 */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (isOutage(error)) return new Problem('unavailable', { cause: error });
  const code = fastifyCode(error) ?? httpCode(error) ?? 'internal';
  return new Problem(code, { cause: error });
}

/** Server codes of MongoDB that mean "not now": no primary, shutting down, over its time, no majority, interrupted. */
const MONGO_OUTAGE_CODES = new Set([
  6, 7, 24, 50, 64, 79, 89, 91, 100, 112, 189, 262, 9001, 10058, 10107, 11600, 11602, 13388, 13435, 13436,
]);

export function isOutage(error: unknown): boolean {
  if (error instanceof TransportDownError) return true;
  if (!(error instanceof Error)) return false;
  if (error.name === 'MongoServerError' || error.name === 'MongoWriteConcernError') {
    const { code } = error as { code?: unknown };
    return error.name === 'MongoWriteConcernError' || (typeof code === 'number' && MONGO_OUTAGE_CODES.has(code));
  }
  // The rest of the driver's classes are about connections, pools, selection and time; its misuse errors are not.
  if (/^Mongo(?!API|InvalidArgument|Parse|Runtime|Compat|Missing|BulkWrite)/.test(error.name)) return true;
  return error.name === 'MongooseServerSelectionError' || (error.cause !== undefined && isOutage(error.cause));
}

function fastifyCode(error: unknown): ErrorCode | undefined {
  const { code, statusCode } = (error ?? {}) as { code?: unknown; statusCode?: unknown };
  if (typeof code !== 'string' || !code.startsWith('FST_')) return undefined;
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return 'payload_too_large';
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return 'unsupported_media_type';
  return typeof statusCode === 'number' && statusCode < 500 ? 'invalid_request' : undefined;
}

function httpCode(error: unknown): ErrorCode | undefined {
  const status =
    error instanceof HttpException ? error.getStatus() : (error as { statusCode?: unknown } | undefined)?.statusCode;
  switch (status) {
    case 400:
      return 'invalid_request';
    case 401:
      return 'unauthenticated';
    case 403:
      return 'forbidden';
    case 404:
      return 'not_found';
    case 405:
      return 'method_not_allowed';
    case 413:
      return 'payload_too_large';
    case 415:
      return 'unsupported_media_type';
    case 429:
      return 'too_many_requests';
    case 503:
      return 'unavailable';
    default:
      return undefined;
  }
}
