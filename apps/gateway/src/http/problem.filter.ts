import { type ArgumentsHost, Catch, type ExceptionFilter, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ErrorCode } from '#contracts';
import { AppLogger, Metrics } from '#observability';
import { errorRow } from './error-table.js';
import { toProblem } from './faults.js';
import { methodsAt } from './policy.js';
import { StoreEpoch } from '../store/store-epoch.repository.js';
import { Problem } from './problem.js';

/** What an operator has to look at; `busy` is a state, not a fault. */
const FAULTS: readonly ErrorCode[] = ['unavailable', 'internal'];

/** Turns everything thrown, by a handler, a guard or Fastify's parsers, into one form of answer. */
@Catch()
@Injectable()
export class ProblemFilter implements ExceptionFilter {
  constructor(
    private readonly logger: AppLogger,
    private readonly metrics: Metrics,
    private readonly store: StoreEpoch,
  ) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const problem = request.is404 ? nothingThere(request, reply) : toProblem(error);
    const fields = { code: problem.code, method: request.method, route: request.routeOptions?.url };
    this.metrics.count('refusals_total', { code: problem.code });
    if (FAULTS.includes(problem.code)) this.logger.error({ ...fields, err: problem.cause ?? problem }, 'fault');
    else this.logger.debug(fields, 'refused');
    // Who is kept from finishing a capture has an outage to thank for it, not himself.
    if (problem.code === 'unavailable' && isCapture(request)) this.store.noteOutage();
    if (!reply.sent) sendProblem(reply, problem);
  }
}

const isCapture = (request: FastifyRequest): boolean => request.url.startsWith('/v1/face/');

/** A path that is there, asked in a way that it does not take, is not the same as no path. */
function nothingThere(request: FastifyRequest, reply: FastifyReply): Problem {
  const methods = methodsAt(request.url.split('?')[0] ?? '');
  if (methods.length === 0) return new Problem('not_found');
  reply.header('allow', methods.join(', '));
  return new Problem('method_not_allowed');
}

/** RFC 9457. The body holds the code's fixed words and the refusal's own numbers; never a value of the request. */
export function sendProblem(reply: FastifyReply, problem: Problem): void {
  const row = errorRow(problem.code);
  const retryAfter = problem.retryAfterSeconds ?? row.retryAfterSeconds;
  if (retryAfter !== undefined) reply.header('retry-after', String(Math.max(1, Math.ceil(retryAfter))));
  if (row.status === 401) {
    reply.header('www-authenticate', problem.code === 'invalid_client' ? 'Basic realm="countersign"' : 'Bearer');
  }
  void reply
    .code(row.status)
    .header('content-type', 'application/problem+json; charset=utf-8')
    .send(
      JSON.stringify({
        type: `urn:countersign:problem:${problem.code}`,
        title: row.title,
        status: row.status,
        code: problem.code,
        ...problem.extras,
      }),
    );
}
