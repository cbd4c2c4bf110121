import { Readable } from 'node:stream';
import { type CanActivate, type ExecutionContext, Injectable, SetMetadata } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ERROR_CODES } from '#contracts';
import { Problem } from './problem.js';

const ACCEPTS = 'countersign:accepts';

export interface Accepted {
  body?: z.ZodType;
  query?: z.ZodType;
  params?: z.ZodType;
  /** The body is `application/octet-stream`: a stream that nobody has read yet, for the route itself to judge. */
  bytes?: boolean;
}

/** What a route takes. Whatever is not declared must be absent. */
export const Accepts = (accepted: Accepted): MethodDecorator => SetMetadata(ACCEPTS, accepted);

export const acceptedBy = (handler: object): Accepted =>
  (Reflect.getMetadata(ACCEPTS, handler) as Accepted | undefined) ?? {};

const NOTHING = z.union([z.undefined(), z.null(), z.strictObject({})]);
const EMPTY = z.strictObject({});

/**
 * The one mechanism that lets input in. A guard, not a pipe: it runs before passport-local looks at the body, and it
 * also covers routes that declare nothing. Handlers find the parsed values where the raw ones were.
 */
@Injectable()
export class InputGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const accepted = acceptedBy(context.getHandler());
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    request.params = parse(accepted.params ?? EMPTY, request.params ?? {}, 'not_found');
    request.query = parse(accepted.query ?? EMPTY, { ...(request.query as object) }, 'invalid_request');
    if (request.body instanceof Readable !== (accepted.bytes ?? false)) {
      throw new Problem(request.body === undefined ? 'invalid_request' : 'unsupported_media_type');
    }
    if (!accepted.bytes) request.body = parse(accepted.body ?? NOTHING, request.body, 'invalid_request');
    return true;
  }
}

/**
 * A path that cannot name anything is a 404, anything else that does not parse a 400 with the fields' names: under the
 * code that a schema names for it (`params.refusal`) if nothing else is wrong.
 */
function parse(schema: z.ZodType, value: unknown, code: 'not_found' | 'invalid_request'): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = [...new Set(parsed.error.issues.map((issue) => issue.path.map(String).join('.').slice(0, 80)))];
  const refusals = parsed.error.issues.map((issue) => (issue.code === 'custom' ? issue.params?.refusal : undefined) as unknown); // prettier-ignore
  const own = ERROR_CODES.find((one) => refusals.every((refusal) => refusal === one));
  throw new Problem(own ?? code, code === 'not_found' ? {} : { extras: { fields: fields.filter(known).slice(0, 10) } });
}

/** Names a client sent are echoed only when they look like names. */
const known = (field: string): boolean => /^[A-Za-z0-9_.]+$/.test(field);
