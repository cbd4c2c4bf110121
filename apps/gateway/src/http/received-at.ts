import type { FastifyRequest } from 'fastify';

const RECEIVED_AT = Symbol('received at');
type Marked = { [RECEIVED_AT]?: number };

/** Marks when a request's head was there, before its body is read. `performance.now()`. */
export function markReceived(request: FastifyRequest): void {
  (request as Marked)[RECEIVED_AT] = performance.now();
}

export const receivedAtMs = (request: FastifyRequest): number => (request as Marked)[RECEIVED_AT] ?? performance.now();
