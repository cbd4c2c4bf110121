import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { ACR, type CountersignClient, CountersignError, type Demand, insufficientAuthentication, meets } from '#client';

/** Home is for whoever has shown more than a password. */
const HOME: Demand = { acrValues: [ACR.recovery, ACR.face] };

/**
 * An application that asks, from its own backend, what a session has shown before it does something. Its page sends a token
 * that it had made for this application (`tokenFor`), never the session's own: that one opens the account.
 */
export function relyingApp(countersign: CountersignClient, o: { transferMaxAge: number }): FastifyInstance {
  const app = fastify();
  /** Money moves only on a face shown in the last minutes. */
  const transfer: Demand = { acrValues: [ACR.face], maxAge: o.transferMaxAge };

  const demanding = (demand: Demand) => async (request: FastifyRequest, reply: FastifyReply) => {
    const token = /^Bearer (\S{1,200})$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) return refuse(reply, 'Bearer', 'a session is needed');
    const session = await countersign.introspect(token);
    if (!session.active) return refuse(reply, 'Bearer error="invalid_token"', 'this session is over');
    if (!meets(session, demand)) return refuse(reply, insufficientAuthentication(demand), 'show your face first');
    request.user = session.sub;
  };

  app.decorateRequest('user', '');
  app.get('/', { preHandler: demanding(HOME) }, (request) => ({ hello: request.user }));
  app.post<{ Body: { to: string; amount: number } }>(
    '/transfer',
    { preHandler: demanding(transfer), schema: { body: TRANSFER } },
    (request) => ({ done: true, by: request.user, ...request.body }),
  );

  // Whatever keeps us from knowing what the session is worth: no.
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    if (error.statusCode !== undefined && error.statusCode < 500) {
      return reply.code(error.statusCode).send({ error: error.message });
    }
    const seconds = (error instanceof CountersignError && error.retryAfterSeconds) || 5;
    return reply.code(503).header('retry-after', Math.ceil(seconds)).send({ error: 'try again' });
  });
  return app;
}

const refuse = (reply: FastifyReply, challenge: string, error: string): FastifyReply =>
  reply.code(401).header('www-authenticate', challenge).send({ error });

const TRANSFER = {
  type: 'object',
  required: ['to', 'amount'],
  additionalProperties: false,
  properties: { to: { type: 'string', maxLength: 64 }, amount: { type: 'number', exclusiveMinimum: 0 } },
} as const;

declare module 'fastify' {
  interface FastifyRequest {
    user: string;
  }
}
