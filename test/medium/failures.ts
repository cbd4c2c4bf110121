import { type Answer, type ApiClient, inLanes } from '#testing';
import { type Findings, type GatewayWorld, GOOD, sleep, stepBody, patiently } from './gateway-world.js';

/** The third failure locks. */
export const STRIKES = 3;

export const failedAt = (
  step: number,
  kind: 'no_action' | 'wrong_action' | 'discontinuous' | 'not_one_person',
): Findings => ({
  ...GOOD,
  verdict: (s) => (s === step ? { kind } : { kind: 'done' }),
  judgement: 'not_compared',
  similarity: null,
});
export const scored = (judgement: Findings['judgement'], similarity: number | null): Findings => ({ ...GOOD, judgement, similarity }); // prettier-ignore

/** What somebody who tries faces sees of one failure. */
export interface Failure {
  /** Which of the user's: they differ in the attempts that remain. */
  nth: number;
  /** Status, body and headers, less date, request id and the end of the lock. */
  answer: string;
  /** From the first byte of the last step to the answer. */
  ms: number;
}

/** All that an answer says but when it was given, and with it until when the face is locked. */
export function bytesOf({ status, text, headers }: Answer): string {
  const kept = [...headers].filter(([name]) => name !== 'date' && name !== 'x-request-id');
  return JSON.stringify({ status, text: text.replace(/"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/, '"a time"'), kept });
}

/** How many different answers there were to the first failure of a user, to the second, and so on. */
export const differentAnswers = (found: readonly Pick<Failure, 'nth' | 'answer'>[]): number[] =>
  [...new Set(found.map((f) => f.nth))]
    .sort()
    .map((nth) => new Set(found.filter((f) => f.nth === nth).map((f) => f.answer)).size);

async function failure(world: GatewayWorld, client: ApiClient, findings: Findings, nth: number): Promise<Failure> {
  const begun = await patiently(() => world.begin(client, 'attempts', findings));
  expect(begun).toMatchObject({ status: 201 });
  const attemptId = String(begun.body.attemptId);
  for (const step of [1, 2]) {
    const sent = await patiently(() => world.sendStep(client, attemptId, step));
    expect(sent).toMatchObject({ status: 202 });
  }
  await sleep(350);
  let from = 0;
  const sent = await patiently(() => {
    from = performance.now();
    return client.postBytes(`/v1/face/attempts/${attemptId}/steps/3`, stepBody());
  });
  expect(sent).toMatchObject({ status: 202 });
  const end = await patiently(() => world.outcome(client, attemptId));
  return { nth, answer: bytesOf(end), ms: performance.now() - from };
}

/**
 * `n` failures through the gateway, so many of each user, with verdicts that the test's worker was told.
 *
 * @param causeOf takes turns within an account and between accounts, so that no drift of the machine falls on one cause
 */
export async function failures(
  world: GatewayWorld,
  { n, each, lanes }: { n: number; each: number; lanes: number },
  causeOf: (i: number) => Findings,
): Promise<Failure[]> {
  const users = await inLanes(lanes, Math.ceil(n / each), async (user) => {
    const { client } = await world.enrolledAtOnce();
    const own: Failure[] = [];
    for (let nth = 0; nth < each; nth++) own.push(await failure(world, client, causeOf(user * each + nth), nth));
    return own;
  });
  return users.flat();
}
