// The test of a running installation from outside it: over the network, by BASE_URL, and nothing else.
import path from 'node:path';
import { ApiClient, Media, performCapture, RecordedPerson } from '#testing';

const PASSWORD = 'correct horse battery staple';

/** A new account, a face enrolled from recorded footage, verified once; another face is not. */
async function main(): Promise<void> {
  const url = process.env.BASE_URL;
  if (!url) throw new Error('BASE_URL must name the gateway, or the proxy before it');
  const media = new Media(path.resolve('test/media'));
  const client = new ApiClient(url, 'Pixel 9');
  const email = `compose-${Date.now()}@example.org`;
  step('registered', (await client.post('/v1/auth/register', { email, password: PASSWORD })).status, 201);
  await client.login(email, PASSWORD);
  const { version, textSha256 } = (await client.get('/v1/face/consent')).body;
  step('consent given', (await client.put('/v1/face/consent', { version, textSha256 })).status, 200);
  const capture = async (person: string, route: 'enrolments' | 'attempts'): Promise<unknown> =>
    (await performCapture(client, new RecordedPerson(media, person, 41), route)).end?.body.status;
  step('the face is enrolled', await capture('franck', 'enrolments'), 'enrolled');
  step('the same face is verified', await capture('franck', 'attempts'), 'verified');
  step('another face is not', await capture('cap', 'attempts'), 'not_verified');
  step('the events are read back', (await client.get('/v1/security/events')).status, 200);
}

function step(what: string, got: unknown, wanted: unknown): void {
  if (got !== wanted) throw new Error(`${what}: NO (${JSON.stringify(got)} instead of ${JSON.stringify(wanted)})`);
  console.log(`ok  ${what}`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
