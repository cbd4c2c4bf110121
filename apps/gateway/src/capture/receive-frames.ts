import { finished, type Readable } from 'node:stream';
import { Problem } from '../http/problem.js';
import { type FramesContainer, FramesReader } from './frames-container.js';
import type { Upload } from './uploads.js';

/**
 * The body of a step, as it arrives, until a later upload ends it. What still comes after a refusal is let go unread: a
 * connection closed under a client that is sending would lose it the answer.
 *
 * @param length of the whole body as it was announced, bytes; null if it was not.
 */
export function receiveFrames(stream: Readable, length: number | null, upload: Upload): Promise<FramesContainer> {
  upload.hold(length);
  return new Promise((resolve, reject) => {
    let reader: FramesReader | null = new FramesReader(length);
    const refuse = (problem: Problem): void => {
      reader = null;
      reject(problem);
    };
    upload.whenEnded(refuse);
    stream.on('data', (chunk: Buffer) => {
      const code = reader?.push(chunk);
      if (code) refuse(new Problem(code));
    });
    finished(stream, { writable: false }, (cause) => {
      // The client went, and no answer reaches it.
      if (cause) return refuse(new Problem('invalid_request', { cause }));
      const outcome = reader?.end();
      if (outcome?.kind === 'ok') resolve(outcome.container);
      else if (outcome) refuse(new Problem(outcome.code));
    });
  });
}
