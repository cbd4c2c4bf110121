import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { repositoryRoot } from '#stack';
import { type Answer, type ApiClient, encodeStep, type Frame, RecordedPerson } from '#testing';
import { pngChunk } from '../medium/odd-pictures.js';
import { startWorld, type World } from './world.js';

/** A PNG that claims 20,000 × 20,000 pixels and is a few kB. */
function hugePng(): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(20_000, 0);
  header.writeUInt32BE(20_000, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, pngChunk('IHDR', header), pngChunk('IDAT', deflateSync(Buffer.alloc(1 << 20)))]);
}

/** Two people beside each other, none larger than the other. */
async function twice(jpeg: Buffer): Promise<Buffer> {
  const { width, height } = await sharp(jpeg).metadata();
  const both = [0, width].map((left) => ({ input: jpeg, left, top: 0 }));
  return sharp({ create: { width: 2 * width, height, channels: 3, background: '#000' } }).composite(both).jpeg({ quality: 92 }).toBuffer(); // prettier-ignore
}

const repeated = (jpeg: Buffer, n = 20): Frame[] => Array.from({ length: n }, (_, i) => ({ tMs: i * 42, jpeg }));
const code = ({ status, body }: Answer): { status: number; code: unknown } => ({ status, code: body.code });

/** Real processes: what a client must not send is refused with a stable code, and nobody is charged for it. */
describe('bad input', () => {
  let world: World;
  let client: ApiClient;
  let good: Frame[];

  beforeAll(async () => {
    world = await startWorld({ name: 'bad-input' });
    client = await world.enrolledUser('bad@example.org');
    good = await new RecordedPerson(world.media, 'franck', 61).perform('blink');
  }, 120_000);
  afterAll(() => world.stop());

  afterEach(async () => {
    const events = (await client.get('/v1/security/events?limit=100')).body.events as { charged?: boolean }[];
    expect(events.filter((event) => event.charged)).toEqual([]);
  });

  async function begin(): Promise<{ attemptId: string; cancel: () => Promise<unknown>; path: string }> {
    const answer = await client.post('/v1/face/attempts', {});
    expect(answer.status).toBe(201);
    const attemptId = String(answer.body.attemptId);
    await new Promise((resolve) => setTimeout(resolve, 400));
    return {
      attemptId,
      cancel: () => client.delete(`/v1/face/attempts/${attemptId}`),
      path: `/v1/face/attempts/${attemptId}/steps`,
    };
  }

  it('a step body that is not what the wire format says', async () => {
    const { path, cancel } = await begin();
    const broken = encodeStep(repeated(good[0]?.jpeg ?? Buffer.alloc(0), 8));
    const rows: [what: string, body: Buffer, status: number, code: string][] = [
      ['empty', Buffer.alloc(0), 400, 'invalid_request'],
      ['random', randomBytes(5_000), 400, 'invalid_request'],
      ['truncated', broken.subarray(0, broken.length - 10), 400, 'invalid_request'],
      ['overlong', Buffer.concat([broken, Buffer.alloc(10)]), 400, 'invalid_request'],
      ['a 400-megapixel PNG', encodeStep(repeated(hugePng(), 8)), 415, 'unsupported_image'],
      ['GIF', encodeStep(repeated(Buffer.from('GIF89a' + 'x'.repeat(100)), 8)), 415, 'unsupported_image'],
      ['text', encodeStep(repeated(Buffer.from('no image at all'), 8)), 415, 'unsupported_image'],
      [
        'a challenge',
        encodeStep(repeated(good[0]?.jpeg ?? Buffer.alloc(0), 8), { challenge: 'blink' }),
        400,
        'invalid_request',
      ],
      ['a score', encodeStep(repeated(good[0]?.jpeg ?? Buffer.alloc(0), 8), { score: 1 }), 400, 'invalid_request'],
      ['5 MB', encodeStep(repeated(randomBytes(500_000), 10)), 413, 'payload_too_large'],
    ];
    for (const [what, body, status, expected] of rows) {
      expect({ what, ...code(await client.postBytes(`${path}/1`, body)) }).toEqual({ what, status, code: expected });
    }
    expect(code(await client.postBytes(`${path}/1`, broken, 'text/plain'))).toEqual({
      status: 415,
      code: 'unsupported_media_type',
    });
    await cancel();
  }, 60_000);

  it('steps out of order, twice, unknown and foreign; fields of one’s own', async () => {
    // A user of its own: the second cancel of one user counts, and that is not what is tested here.
    client = await world.enrolledUser('order@example.org');
    const { path, cancel, attemptId } = await begin();
    const body = encodeStep(repeated(good[1]?.jpeg ?? Buffer.alloc(0), 10).map((f, i) => ({ ...f, tMs: i * 30 })));
    expect(code(await client.postBytes(`${path}/2`, body))).toEqual({ status: 409, code: 'step_out_of_order' });
    expect((await client.postBytes(`${path}/1`, body)).status).toBe(202);
    expect((await client.postBytes(`${path}/1`, body)).status).toBe(409);
    expect((await client.postBytes(`${path}/9`, body)).status).toBeGreaterThanOrEqual(400);
    const stranger = await world.user('stranger@example.org');
    expect(code(await stranger.get(`/v1/face/attempts/${attemptId}`))).toEqual({ status: 404, code: 'not_found' });
    expect(code(await stranger.postBytes(`${path}/2`, body))).toEqual({ status: 404, code: 'not_found' });
    expect(code(await client.get(`/v1/face/attempts/${randomUUID()}`))).toEqual({ status: 404, code: 'not_found' });
    for (const extra of [{ challenge: ['blink'] }, { score: 1 }, { mode: 'easy' }, { actions: [] }]) {
      expect(code(await client.post('/v1/face/attempts', extra))).toEqual({ status: 400, code: 'invalid_request' });
    }
    await cancel();
    const late = await client.postBytes(`${path}/2`, body);
    expect(code(late)).toEqual({ status: 410, code: 'attempt_over' });
  }, 60_000);

  it('frames with a good header that do not decode: quality `unreadable`, uncharged', async () => {
    const { path, attemptId } = await begin();
    // Three steps, or more: an attempt before this one was not decided.
    for (let step = 1, status: unknown = 'capturing'; status === 'capturing'; step++) {
      const frames = good
        .slice(0, 30)
        .map(({ jpeg }, i) => ({ tMs: i * 42, jpeg: jpeg.subarray(0, 600 + 100 * step + i) }));
      await new Promise((resolve) => setTimeout(resolve, 1_400));
      const sent = await client.postBytes(`${path}/${step}`, encodeStep(frames));
      expect(sent.status).toBe(202);
      ({ status } = sent.body);
    }
    const end = await client.get(`/v1/face/attempts/${attemptId}?wait=20`);
    expect(end.body).toMatchObject({ status: 'retry', quality: 'unreadable' });
  }, 60_000);

  it('pictures of all kinds through `eval quality --http`: a 4xx or a quality code each', async () => {
    const folder = path.join(world.dir, 'pictures');
    await mkdir(folder);
    const face = good[0]!.jpeg;
    const grey = sharp({ create: { width: 640, height: 480, channels: 3, background: '#888' } });
    const pictures: Record<string, [bytes: Buffer, status: number, code: string]> = {
      'a face.jpg': [face, 202, 'usable'],
      'face.webp': [await sharp(face).webp().toBuffer(), 202, 'usable'],
      'face-as-png.jpg': [await sharp(face).png().toBuffer(), 415, 'unsupported_image'],
      'nobody.jpg': [await grey.jpeg().toBuffer(), 202, 'no_face'],
      'two.jpg': [await twice(face), 202, 'multiple_faces'],
      'truncated.jpg': [face.subarray(0, 2_000), 202, 'unreadable'],
      'bomb.png': [hugePng(), 415, 'unsupported_image'],
      'large.jpg': [await grey.resize(2_400, 2_400).jpeg().toBuffer(), 413, 'image_too_large'],
      'vector.svg': [Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), 415, 'unsupported_image'],
      'empty.jpg': [Buffer.alloc(0), 400, 'invalid_request'],
    };
    for (const [name, [bytes]] of Object.entries(pictures)) await writeFile(path.join(folder, name), bytes);
    const out = path.join(world.dir, 'quality.json');
    const cli = path.join(repositoryRoot(), 'dist/tools/eval/main.js');
    await promisify(execFile)(process.execPath, [cli, 'quality', '--images', folder, '--http', world.apps.gatewayUrl, '--out', out]); // prettier-ignore
    const report = JSON.parse(await readFile(out, 'utf8')) as {
      files: { file: string; status: number; code: string }[];
    };
    expect(Object.fromEntries(report.files.map((f) => [f.file, [f.status, f.code]]))).toEqual(
      Object.fromEntries(Object.entries(pictures).map(([name, [, status, code]]) => [name, [status, code]])),
    );
  }, 90_000);

  it('wrong password and unknown user get the same answer', async () => {
    const stranger = world.connect();
    const wrong = await stranger.post('/v1/auth/login', { email: 'bad@example.org', password: 'wrong wrong wrong' });
    const unknown = await stranger.post('/v1/auth/login', {
      email: 'nobody@example.org',
      password: 'wrong wrong wrong',
    });
    expect(code(wrong)).toEqual({ status: 401, code: 'invalid_credentials' });
    expect(unknown.text).toBe(wrong.text);
  });

  it('no session, no consent', async () => {
    expect(code(await world.connect().post('/v1/face/attempts', {}))).toEqual({ status: 401, code: 'unauthenticated' });
    const fresh = world.connect();
    await fresh.post('/v1/auth/register', { email: 'fresh@example.org', password: 'correct horse battery staple' });
    await fresh.login('fresh@example.org', 'correct horse battery staple');
    expect(code(await fresh.post('/v1/face/enrolments', {}))).toEqual({ status: 403, code: 'consent_required' });
  });
});
