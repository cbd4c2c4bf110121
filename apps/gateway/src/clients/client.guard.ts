import { type CanActivate, createParamDecorator, type ExecutionContext, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { ClientView } from '#service-clients';
import { originOf } from '../http/origin.js';
import { Problem } from '../http/problem.js';
import { accessOf } from '../http/policy.js';
import { ClientsService } from './clients.service.js';

const CLIENT = Symbol('client');

/** Enforces the policy's routes for relying applications: no session, but a service credential (HTTP Basic, RFC 7617). */
@Injectable()
export class ClientGuard implements CanActivate {
  constructor(private readonly clients: ClientsService) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const access = accessOf(request.method, request.routeOptions.url);
    if (access?.who !== 'service') return true;
    const client = await this.clients.authenticate(basic(request), originOf(request));
    if (!client.scopes.includes(access.scope)) throw new Problem('forbidden');
    (request as { [CLIENT]?: ClientView })[CLIENT] = client;
    return true;
  }
}

/** The relying application that asks; only on routes that the policy gives to services. */
export const CurrentClient = createParamDecorator((_: unknown, context: ExecutionContext): ClientView => {
  const client = (context.switchToHttp().getRequest<FastifyRequest>() as { [CLIENT]?: ClientView })[CLIENT];
  if (!client) throw new Error('this route did not ask for a client');
  return client;
});

/** RFC 7617: base64 of `id:secret`. Null for anything else. */
function basic(request: FastifyRequest): { clientId: string; secret: string } | null {
  const encoded = /^Basic ([A-Za-z0-9+/=]{1,400})$/i.exec(request.headers.authorization ?? '')?.[1];
  if (encoded === undefined) return null;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? null : { clientId: text.slice(0, colon), secret: text.slice(colon + 1) };
}
