import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { CAPTURE_LIMITS } from '#contracts';
import { AppLogger, Metrics, NestLogBridge, withCorrelation } from '#observability';
import { AppModule } from '../app.module.js';
import type { GatewayConfig } from '../config.js';
import { Drain } from '../health/drain.js';
import { toProblem } from './faults.js';
import { measureAnswers } from './measure-answers.js';
import { ACCEPT_CH, trusts } from './origin.js';
import { Problem } from './problem.js';
import { sendProblem } from './problem.filter.js';
import { markReceived } from './received-at.js';

const JSON_BYTES_MAX = 16 * 1024;
/** A step's body may take 10 s from its first byte; a little more, so that the guard's answer arrives, too. */
const REQUEST_MS = CAPTURE_LIMITS.bodyMs + 5_000;
const HEADERS_MS = 10_000;
const IDLE_SWEEP_MS = 250;
const STEP_ROUTE = '/v1/face/attempts/:id/steps/:n';

const HEADERS = {
  'accept-ch': ACCEPT_CH,
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

/** The gateway as an application, not yet listening. */
export async function createGateway(config: GatewayConfig): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter({
    trustProxy: config.TRUSTED_PROXIES.length > 0 ? trusts(config.TRUSTED_PROXIES) : false,
    genReqId: requestId,
    requestTimeout: REQUEST_MS,
    http: { headersTimeout: HEADERS_MS },
    exposeHeadRoutes: true,
    routerOptions: { maxParamLength: 100 },
    forceCloseConnections: 'idle',
    // Whoever still comes on an open connection is served.
    return503OnClosing: false,
    frameworkErrors: (error: unknown, _request: unknown, reply: unknown) =>
      sendProblem(reply as FastifyReply, toProblem(error)),
  });
  prepare(adapter.getInstance<FastifyInstance>(), config.PUBLIC_URL.startsWith('https:'));
  const app = await NestFactory.create<NestFastifyApplication>(AppModule.forRoot(config), adapter, {
    bodyParser: false,
    bufferLogs: true,
    abortOnError: false,
  });
  const drain = app.get(Drain, { strict: false });
  adapter.getInstance<FastifyInstance>().addHook('onSend', (_request, reply, _payload, done) => {
    if (drain.begun) reply.header('connection', 'close');
    done();
  });
  measureAnswers(adapter.getInstance<FastifyInstance>(), app.get(Metrics));
  app.useLogger(new NestLogBridge(app.get(AppLogger)));
  return app;
}

function prepare(fastify: FastifyInstance, https: boolean): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    markReceived(request);
    reply.headers({ ...HEADERS, 'x-request-id': request.id });
    if (https) reply.header('strict-transport-security', 'max-age=31536000; includeSubDomains');
    withCorrelation(request.id, () => done(refusedType(request)));
  });

  // What falls idle after the close has begun would hold the process for the keep-alive time of 72 s.
  fastify.addHook('preClose', (done) => {
    const sweep = setInterval(() => fastify.server.closeIdleConnections(), IDLE_SWEEP_MS);
    fastify.server.once('close', () => clearInterval(sweep));
    done();
  });

  fastify.removeAllContentTypeParsers();
  const parseJson = fastify.getDefaultJsonParser('error', 'error');
  fastify.addContentTypeParser(
    'application/json',
    { parseAs: 'string', bodyLimit: JSON_BYTES_MAX },
    (request, body, done) => {
      // A route without a body may still be called with the header of one.
      if (body === '') done(null, undefined);
      else void parseJson(request, body as string, done);
    },
  );
  // Read by the route, after the guards: four megabytes are not read for whoever has no session.
  fastify.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload));
}

/** A body of the wrong kind for this route is refused before it is read. */
function refusedType(request: FastifyRequest): Error | undefined {
  const type = request.headers['content-type'];
  if (type === undefined || request.is404) return undefined;
  const bytes = type.split(';')[0]?.trim().toLowerCase() === 'application/octet-stream';
  return bytes === (request.routeOptions.url === STEP_ROUTE) ? undefined : new Problem('unsupported_media_type');
}

/** A client's own id is taken if it is harmless in a log line. */
function requestId(request: Pick<IncomingMessage, 'headers'>): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && /^[A-Za-z0-9._-]{8,64}$/.test(given) ? given : randomUUID();
}
