import { z } from 'zod';
import { actionSchema } from '#contracts';
import type { Answer, ApiClient } from './api-client.js';
import type { Performer } from './camera.js';
import { encodeStep } from './wire.js';

const stepSchema = z.object({ index: z.int(), count: z.int(), action: actionSchema, windowMs: z.int() });
const begunSchema = z.object({ attemptId: z.uuid(), step: stepSchema });
const progressSchema = z.object({ status: z.string(), step: stepSchema.optional() });

export interface Capture {
  begin: Answer;
  attemptId?: string;
  actions: string[];
  uploads: Answer[];
  /** The final state as the API told it; absent when the capture did not get that far. */
  end?: Answer;
  /** From the last upload's answer to the final state, ms. */
  decisionMs?: number;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * One whole capture as a person makes it, in real time: begin, look at each revealed step, perform it, send the frames,
 * wait for the outcome. A verified session's new token replaces the client's.
 */
export async function performCapture(
  client: ApiClient,
  performer: Performer,
  kind: 'attempts' | 'enrolments' | 'practice' = 'attempts',
): Promise<Capture> {
  const begin = await client.post(`/v1/face/${kind}`, {});
  const begun = begunSchema.safeParse(begin.body);
  if (begin.status !== 201 || !begun.success) return { begin, actions: [], uploads: [] };

  const { attemptId } = begun.data;
  const capture: Capture = { begin, attemptId, actions: [], uploads: [] };
  let step: z.infer<typeof stepSchema> | undefined = begun.data.step;
  while (step) {
    const revealed = performance.now();
    capture.actions.push(step.action);
    const frames = await performer.perform(step.action);
    const filmedMs = (frames.at(-1)?.tMs ?? 0) + 60;
    await sleep(Math.max(0, filmedMs - (performance.now() - revealed)));
    const upload = await client.postBytes(`/v1/face/attempts/${attemptId}/steps/${step.index}`, encodeStep(frames));
    capture.uploads.push(upload);
    if (upload.status !== 202) return capture;
    step = progressSchema.parse(upload.body).step;
  }

  const sent = performance.now();
  for (let polls = 0; polls < 8; polls++) {
    const end = await client.get(`/v1/face/attempts/${attemptId}?wait=10`);
    const { status } = end.body;
    if (end.status === 200 && (status === 'deciding' || status === 'capturing')) continue;
    capture.end = end;
    capture.decisionMs = Math.round(performance.now() - sent);
    const session = end.body.session as { token?: string } | undefined;
    if (session?.token) client.token = session.token;
    return capture;
  }
  return capture;
}
