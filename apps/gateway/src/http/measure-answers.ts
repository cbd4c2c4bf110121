import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { HttpKind, Metrics } from '#observability';

/** Routes whose time means something of its own; the others are reads and writes. */
const KINDS: Readonly<Record<string, HttpKind>> = {
  'POST /v1/auth/login': 'login',
  'POST /v1/face/enrolments': 'begin',
  'POST /v1/face/attempts': 'begin',
  'POST /v1/face/practice': 'begin',
  'POST /v1/face/attempts/:id/steps/:n': 'step',
  'GET /v1/face/attempts/:id': 'poll',
  'POST /v1/sessions/introspect': 'introspection',
};
const SAFE = ['GET', 'HEAD', 'OPTIONS'];

/** Time and result of every answer, by what was asked: never by whom or for what. */
export function measureAnswers(fastify: FastifyInstance, metrics: Metrics): void {
  fastify.addHook('onResponse', (request, reply, done) => {
    metrics.observe(
      'http_request_seconds',
      { kind: kindOf(request), result: resultOf(reply) },
      reply.elapsedTime / 1000,
    );
    done();
  });
}

export function kindOf(request: Pick<FastifyRequest, 'method' | 'is404' | 'routeOptions'>): HttpKind {
  if (request.is404) return 'unknown';
  return KINDS[`${request.method} ${request.routeOptions.url}`] ?? (SAFE.includes(request.method) ? 'read' : 'write');
}

function resultOf(reply: FastifyReply): 'ok' | 'refused' | 'failed' {
  if (reply.statusCode >= 500) return 'failed';
  return reply.statusCode >= 400 ? 'refused' : 'ok';
}
