import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { Redis } from 'ioredis';
import { mongo } from 'mongoose';
import { decodeEntry, LOG_COLLECTIONS, type StoredEntry } from '#audit-log';
import { dekAad, framesAad, manifestSchema, type SealedTemplate, signedSimilaritySchema, similarityAad, templateAad } from '#contracts'; // prettier-ignore
import { open, openWith, sealTo } from '#sealing';
import { repositoryRoot, temporaryFolder } from '#stack';
import { encodeStep, performCapture, RecordedPerson } from '#testing';
import { PASSWORD, startWorld, type World } from './world.js';

const BLOBS = 'countersign:blob:';
const EVERY_MS = 100;

interface NamedKey {
  id: string;
  bytes: Buffer;
}
const keyOf = (text = ''): NamedKey => {
  const [id = '', bytes = ''] = text.split(':');
  return { id, bytes: Buffer.from(bytes, 'base64url') };
};

/** Bytes as anybody would find them again: raw, hex, base64 at each of its three offsets. */
function spellings(secret: Buffer): Buffer[] {
  const base64 = [0, 1, 2].flatMap((skip) => {
    const part = secret.subarray(skip, skip + 3 * Math.floor((secret.length - skip) / 3));
    return [part.toString('base64'), part.toString('base64url')];
  });
  const hex = secret.toString('hex');
  return [secret, ...[...base64, hex, hex.toUpperCase()].map((text) => Buffer.from(text, 'latin1'))];
}

/** Every key with its whole value, by its type: what DUMP would give compressed. */
async function keyspace(redis: Redis): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  let cursor = '0';
  do {
    const [next, keys] = await redis.scan(cursor, 'COUNT', 500);
    cursor = next;
    for (const key of keys) {
      const type = await redis.type(key);
      const read: Record<string, () => Promise<unknown>> = {
        string: () => redis.getBuffer(key),
        hash: () =>
          redis.hgetallBuffer(key).then((all) => Object.entries(all).map(([name, v]) => [Buffer.from(name), v])),
        list: () => redis.lrangeBuffer(key, 0, -1),
        set: () => redis.smembersBuffer(key),
        zset: () => redis.callBuffer('ZRANGE', key, '0', '-1'),
        stream: () => redis.callBuffer('XRANGE', key, '-', '+'),
      };
      const flat = [await read[type]?.()].flat(9).filter((part): part is Buffer => Buffer.isBuffer(part));
      found.set(key, Buffer.concat(flat));
    }
  } while (cursor !== '0');
  return found;
}

/** Real processes and recorded people; the attacker has both Redis servers and every public key. */
describe('the transport is not trusted', () => {
  let world: World;
  let queue: Redis;
  let blobs: Redis;
  let temporary: string;
  const bodies: Buffer[] = [];
  /** Every token that a session of this run had. */
  const tokens = new Set<string>();
  const dumps = { keys: 0, bytes: 0, rounds: 0 };
  const values: { where: string; bytes: Buffer }[] = [];

  beforeAll(async () => {
    temporary = temporaryFolder('transport-tmp');
    world = await startWorld({ name: 'transport', env: { TMPDIR: temporary } });
    const { REDIS_URL = '', REDIS_BLOB_URL = '' } = world.apps.env('gateway');
    queue = new Redis(REDIS_URL);
    blobs = new Redis(REDIS_BLOB_URL);
    // Servers of tests keep no files; for this one the persistent Redis does, as it would in production.
    await queue.config('SET', 'appendonly', 'yes');
    // While it writes its first file it may not answer in time.
    while (!(await queue.info('persistence')).includes('aof_rewrite_in_progress:0'))
      await new Promise((resolve) => setTimeout(resolve, 50));
    const send = globalThis.fetch;
    jest.spyOn(globalThis, 'fetch').mockImplementation((url, init) => {
      // The frames of steps are the only bodies that long.
      if (Buffer.isBuffer(init?.body) && init.body.length > 20_000) bodies.push(init.body);
      return send(url, init);
    });
  }, 120_000);
  afterAll(async () => {
    jest.restoreAllMocks();
    await queue.config('SET', 'appendonly', 'no');
    queue.disconnect();
    blobs.disconnect();
    await world.stop();
    await rm(temporary, { recursive: true, force: true });
  });

  it('T40: at no moment of a run does either Redis, and after errors and a crash no row, log or temporary file hold a readable frame, embedding, similarity, password or token', async () => {
    let running = true;
    const seen = new Set<string>();
    const dumping = (async () => {
      while (running) {
        for (const [name, redis] of [['queue', queue], ['blobs', blobs]] as const) {
          for (const [key, bytes] of await keyspace(redis)) {
            const where = `${name} ${key}`;
            const id = `${where} ${bytes.length} ${bytes.toString('base64', 0, 60)}`;
            if (!seen.has(id)) values.push({ where, bytes });
            seen.add(id);
          }
        }
        dumps.rounds++;
        await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
      }
    })(); // prettier-ignore
    // Similarities lie there for some milliseconds only, between two dumps: they are taken as they come.
    const catching = (async () => {
      while (running) {
        for (const key of await blobs.keys(`${BLOBS}similarity:*`)) {
          const bytes = await blobs.getBuffer(key);
          if (bytes) values.push({ where: `blobs ${key}`, bytes });
        }
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    })();
    const client = await world.enrolledUser('owner@example.org');
    tokens.add(client.token ?? '');
    const own = await performCapture(client, new RecordedPerson(world.media, 'franck', 5));
    expect(own.end?.body).toMatchObject({ status: 'verified' });
    // The other man never smiled into a camera of ours.
    expect((await client.put('/v1/face/preferences', { optOuts: ['smile'], extraTime: false })).status).toBe(200);
    const other = await performCapture(client, new RecordedPerson(world.media, 'cap', 5));
    tokens.add(client.token ?? '');
    // Errors and a crash, which are where programs say too much.
    await client.login('owner@example.org', `${PASSWORD}?`);
    await client.login('owner@example.org', PASSWORD);
    tokens.add(client.token ?? '');
    await client.post('/v1/auth/register', { email: 'no address', password: PASSWORD });
    await client.postBytes('/v1/face/attempts/x/steps/1', bodies[0] ?? Buffer.alloc(0));
    await world.apps.kill('inference', 'SIGKILL');
    running = false;
    await Promise.all([dumping, catching]);
    const told = [own, other].map(({ begin, uploads, end }) => (end ?? uploads.at(-1) ?? begin).body);
    expect(told).toMatchObject([{ status: 'verified' }, { status: 'not_verified' }]);

    // What must not be there, taken from where it may be: the bodies sent, the template opened, the similarity opened.
    const secrets: { what: string; bytes: Buffer }[] = bodies.flatMap((body) =>
      [0.2, 0.5, 0.8].map((at) => ({ what: 'a frame', bytes: body.subarray(Math.floor(body.length * at)).subarray(0, 24) })),
    ); // prettier-ignore
    secrets.push({ what: 'a JPEG', bytes: Buffer.from('ffd8ffe000104a464946', 'hex') });
    const embedding = await template(world);
    for (const at of [0, 100, 400])
      secrets.push({ what: 'an embedding', bytes: embedding.subarray(at * 4, at * 4 + 12) });
    const texts = [0, 1, 50, 200].map((i) => String(embedding.readFloatLE(i * 4)));
    const scores = similarities(world, values);
    expect(scores.length).toBeGreaterThanOrEqual(1);
    for (const score of scores) {
      const double = Buffer.alloc(8);
      double.writeDoubleLE(score);
      secrets.push({ what: 'a similarity', bytes: double });
      texts.push(String(score), String(score).slice(0, 8));
    }

    tokens.delete('');
    expect(tokens.size).toBeGreaterThanOrEqual(2);
    for (const text of [PASSWORD, ...tokens]) secrets.push({ what: 'a password or token', bytes: Buffer.from(text) });

    const persistent = await appendOnlyFiles(queue);
    expect(persistent.length).toBeGreaterThan(0);
    const rows = await collections(world);
    for (const name of ['users', 'face_guards', 'face_templates', 'face_auth_events', 'mails', 'subjects'])
      expect(rows.map(({ where }) => where)).toContain(`collection ${name}`);
    const logs = await filesIn(path.join(world.dir, 'logs'));
    expect(logs.length).toBeGreaterThanOrEqual(3);
    const searched = [...values, ...persistent, ...rows, ...logs, ...(await filesIn(temporary))];
    const hits: string[] = [];
    for (const { where, bytes } of searched) {
      for (const { what, bytes: secret } of secrets)
        if (spellings(secret).some((spelling) => bytes.includes(spelling))) hits.push(`${what} in ${where}`);
      for (const text of texts) if (bytes.includes(text)) hits.push(`a number in ${where}`);
      if (/similarity\\?"\s*:\s*-?[01]\.\d/.test(bytes.toString('latin1'))) hits.push(`a similarity in ${where}`);
    }
    expect(hits).toEqual([]);

    // The search would have found them: frames, evidence, templates and scores did pass here, sealed, in the blob Redis.
    for (const kind of ['frames', 'evidence', 'template', 'newtemplate', 'similarity']) {
      const holders = new Set(values.filter(({ where }) => where.includes(` ${BLOBS}${kind}:`)).map(({ where }) => where.split(' ')[0])); // prettier-ignore
      if (kind === 'frames' || kind === 'evidence') expect([...holders]).toEqual(['blobs']);
      else expect([...holders].filter((holder) => holder !== 'blobs')).toEqual([]);
    }
    dumps.keys = values.length;
    dumps.bytes = searched.reduce((sum, { bytes }) => sum + bytes.length, 0);
    console.info(
      `T40: ${rows.length} collections, ${logs.length} logs, ${searched.length - values.length - persistent.length - rows.length - logs.length} temporary files; ` +
        `keyspace: ${dumps.rounds} dumps of both Redis, ${dumps.keys} different values, ${persistent.length} append-only files, ` +
        `${(dumps.bytes / 1e6).toFixed(1)} MB searched for ${secrets.length * 9 + texts.length} patterns: 0 hits`,
    );
    expect(dumps.rounds).toBeGreaterThan(20);
  }, 180_000);

  it('T37: the audit log says which models decide', async () => {
    await world.withDatabase(async (database) => {
      const loaded = () => database.collection<StoredEntry>(LOG_COLLECTIONS.entries).findOne({ type: 'model_loaded' });
      for (let i = 0; i < 100 && !(await loaded()); i++) await new Promise((resolve) => setTimeout(resolve, 100));
      const entry = decodeEntry((await loaded())?.entry ?? '');
      const manifest = await readFile(path.join(repositoryRoot(), 'models/manifest.json'), 'utf8');
      expect(entry?.modelDigest).toBe(manifestSchema.parse(JSON.parse(manifest)).digest);
    });
  });

  it('frames that somebody swapped are not judged, and the audit trail says so', async () => {
    await world.apps.start('inference');
    const client = await world.user('victim@example.org');
    const begun = await client.post('/v1/face/practice', {});
    const attemptId = String(begun.body.attemptId);
    const franck = new RecordedPerson(world.media, 'franck', 9);
    const { action } = begun.body.step as { action: never };
    world.apps.signal('inference', 'SIGSTOP');
    try {
      const frames = await franck.perform(action);
      await new Promise((resolve) => setTimeout(resolve, frames.at(-1)?.tMs ?? 2_000));
      expect((await client.postBytes(`/v1/face/attempts/${attemptId}/steps/1`, encodeStep(frames))).status).toBe(202);
      const [key = ''] = await blobs.keys(`${BLOBS}frames:${attemptId}:1:*`);
      // Sealed as the gateway would, with the public key: other frames under the digest of those that were accepted.
      const aad = framesAad({ attemptId, step: 1, framesDigest: key.split(':').at(-1) ?? '' });
      const recipient = keyOf(world.apps.env('gateway').FRAME_PUBLIC_KEY);
      await blobs.set(key, sealTo(recipient, aad, encodeStep(await franck.perform(action))), 'EX', 60);
    } finally {
      world.apps.signal('inference', 'SIGCONT');
    }
    await world.withDatabase(async (database) => {
      let entry = '';
      for (let i = 0; i < 300 && !entry.includes('input_swapped'); i++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        entry = JSON.stringify(await database.collection('face_auth_events').findOne({ type: 'result_forged' }));
      }
      expect(entry).toContain('input_swapped');
      const guards = await database.collection('face_guards').find({ 'reservation.attemptId': attemptId }).toArray();
      expect(guards).toMatchObject([{ reservation: { verdict: [null, null, null] } }]);
    });
    expect(world.apps.logs('gateway').join('\n')).toContain('forgery dropped');
  }, 60_000);
});

/** The stored template, opened with the workers' key: the one thing here that an attacker does not have. */
async function template(world: World): Promise<Buffer> {
  const row = await world.withDatabase((database) => database.collection<{ _id: string }>('face_templates').findOne());
  const { _id: templateId, ...rest } = row as unknown as { _id: string } & Omit<SealedTemplate, 'templateId'>;
  const sealed = { templateId, ...rest };
  const kek = keyOf(world.apps.env('inference').TEMPLATE_KEK).bytes;
  const dek = open(kek, dekAad(sealed), Buffer.from(sealed.wrappedDek, 'base64url'));
  return open(dek, templateAad(sealed), Buffer.from(sealed.ciphertext, 'base64url'));
}

/** Those that passed as blobs, opened with the gateways' key. */
function similarities(world: World, values: readonly { where: string; bytes: Buffer }[]): number[] {
  const mine = [keyOf(world.apps.env('gateway').SIMILARITY_PRIVATE_KEYS)];
  return values.flatMap(({ where, bytes }) => {
    const [, attemptId, run] = / countersign:blob:similarity:([^:]+):(\d+)$/.exec(where) ?? [];
    if (!attemptId) return [];
    const plain = openWith(mine, similarityAad({ attemptId, run: Number(run) }), bytes);
    return [signedSimilaritySchema.parse(JSON.parse(plain.toString())).value.similarity];
  });
}

/** Every row of every collection, as the server stores it and as text. */
function collections(world: World): Promise<{ where: string; bytes: Buffer }[]> {
  return world.withDatabase(async (database) => {
    const names = (await database.listCollections()).map(({ name }) => name);
    return Promise.all(
      names.map(async (name) => {
        const rows = await database.collection(name).find().toArray();
        const bytes = rows.flatMap((row) => [Buffer.from(mongo.BSON.serialize(row)), Buffer.from(JSON.stringify(row))]);
        return { where: `collection ${name}`, bytes: Buffer.concat(bytes) };
      }),
    );
  });
}

async function filesIn(folder: string): Promise<{ where: string; bytes: Buffer }[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = found.filter((one) => one.isFile()).map((one) => path.join(one.parentPath, one.name));
  return Promise.all(
    files.map(async (file) => ({ where: `file ${path.basename(file)}`, bytes: await readFile(file) })),
  );
}

/** The files in which the persistent Redis keeps what it was told, if it does. */
async function appendOnlyFiles(redis: Redis): Promise<{ where: string; bytes: Buffer }[]> {
  const setting = async (name: string) => (await redis.config('GET', name))[1] ?? '';
  if ((await setting('appendonly')) !== 'yes') return [];
  const folder = path.join(await setting('dir'), await setting('appenddirname'));
  const files = await readdir(folder).catch(() => []);
  return Promise.all(
    files.map(async (file) => ({ where: `append-only file ${file}`, bytes: await readFile(path.join(folder, file)) })),
  );
}
