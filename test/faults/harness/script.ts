import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { type StepVerdict, stepVerdictSchema } from '#contracts';
import { encodeStep } from '#testing';

const scriptSchema = z.object({ person: z.string(), verdict: stepVerdictSchema, workMs: z.number() });
/** What a scripted worker shall find in a step's frames. */
export type Script = z.infer<typeof scriptSchema>;

const FRAMES = 4;
const FRAME_GAP_MS = 50;
const DIMENSIONS = 16;
const DONE: StepVerdict = { kind: 'done' };

/** A step's body that the gateway takes as it takes a camera's, new bytes each time, with the script in each frame. */
export function scriptedStep(script: Partial<Script>): Buffer {
  const text = Buffer.from(JSON.stringify({ person: 'owner', verdict: DONE, workMs: 0, ...script }));
  return encodeStep(
    Array.from({ length: FRAMES }, (_, i) => ({ tMs: i * FRAME_GAP_MS, jpeg: Buffer.concat([header(), text, END, randomBytes(32)]) })),
  ); // prettier-ignore
}

/** The script of a step's body, as the worker has opened it. */
export function scriptOf(body: Uint8Array): Script {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const from = bytes.indexOf('{"person"');
  return scriptSchema.parse(JSON.parse(bytes.toString('utf8', from, bytes.indexOf(END, from))));
}

/** A unit vector of a person's own: the same for the same name, and of no likeness to anybody else's. */
export function faceOf(person: string): Float32Array {
  const axis = [...person].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % DIMENSIONS;
  return Float32Array.from({ length: DIMENSIONS }, (_, i) => (i === axis ? 1 : 0));
}

/** As a JPEG of 640 × 480 begins. */
function header(): Buffer {
  const bytes = Buffer.from([0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0, 0, 0, 0, 1, 1, 0x11, 0]);
  bytes.writeUInt16BE(480, 7);
  bytes.writeUInt16BE(640, 9);
  return bytes;
}

const END = Buffer.from([0]);
