import { finished, type Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { Problem } from '../http/problem.js';
import { type FramesContainer, FramesReader } from './frames-container.js';

/**
 * The body of a step, as it arrives. What still comes after a refusal is let go unread: a connection closed under a
 * client that is sending would lose it the answer.
 */
export function receiveFrames(request: FastifyRequest): Promise<FramesContainer> {
  const stream = request.body as Readable;
  const announced = request.headers['content-length'];
  return new Promise((resolve, reject) => {
    let reader: FramesReader | null = new FramesReader(announced === undefined ? null : Number(announced));
    stream.on('data', (chunk: Buffer) => {
      const code = reader?.push(chunk);
      if (!code) return;
      reader = null;
      reject(new Problem(code));
    });
    finished(stream, { writable: false }, (cause) => {
      // The client went, and no answer reaches it.
      if (cause) return reject(new Problem('invalid_request', { cause }));
      const outcome = reader?.end();
      if (outcome?.kind === 'ok') resolve(outcome.container);
      else if (outcome) reject(new Problem(outcome.code));
    });
  });
}
