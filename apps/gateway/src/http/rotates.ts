import { SetMetadata } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { RotatedBy } from '../sessions/session.service.js';

const ROTATES = 'countersign:rotates';

/** Null where the request is of no form that ever brought a new token. */
type Reason = (request: Pick<FastifyRequest, 'params' | 'body'>) => RotatedBy | null;

/**
 * The answer may hold a new token. With the old one the same request gets the same answer again, see LostAnswers; the
 * handler is handed the session that it gave.
 */
export const Rotates = (reason: Reason): MethodDecorator => SetMetadata(ROTATES, reason);
export const reasonOf = (handler: object): Reason | undefined =>
  Reflect.getMetadata(ROTATES, handler) as Reason | undefined;
