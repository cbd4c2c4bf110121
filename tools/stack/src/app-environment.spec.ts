import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { appEnvironment, withDatabase, withRedisDatabase } from './app-environment.js';
import { developmentKeys } from './keys.js';
import { servicesOfTestRun, testEnvironment } from './test-services.js';

describe('addresses handed to the apps', () => {
  it.each([
    ['mongodb://h:1/?replicaSet=rs0', undefined, 'mongodb://h:1/countersign?replicaSet=rs0'],
    ['mongodb://h:1/?replicaSet=rs0', 'e2e', 'mongodb://h:1/e2e?replicaSet=rs0'],
    ['mongodb://h:1', 'e2e', 'mongodb://h:1/e2e'],
    ['mongodb://a:1,b:2/own?w=majority', undefined, 'mongodb://a:1,b:2/own?w=majority'],
    ['mongodb+srv://u:p@h/own', 'e2e', 'mongodb+srv://u:p@h/e2e'],
  ])('%s with database %s', (uri, database, expected) => expect(withDatabase(uri, database)).toBe(expected));

  it('a Redis database keeps the password', () => {
    expect(withRedisDatabase('redis://:pw@h:1', 7)).toBe('redis://:pw@h:1/7');
    expect(withRedisDatabase('redis://:pw@h:1')).toBe('redis://:pw@h:1');
  });
});

describe('keys', () => {
  let dir: string;
  beforeEach(() => (dir = fs.mkdtempSync(path.join(os.tmpdir(), 'keys-'))));
  afterEach(() => fs.rmSync(dir, { recursive: true, force: true }));

  it('are 32 bytes each, different, private, and the same after a restart', () => {
    const keys = developmentKeys(dir);
    const { auditSharedSecret, ...sealing } = keys;
    const bytes = Object.values(sealing).map((key) => /^dev-\d{8}:(.*)$/.exec(key)?.[1] ?? '');
    expect(bytes.map((text) => Buffer.from(text, 'base64url').length)).toEqual(Array(10).fill(32));
    expect(new Set([...bytes, auditSharedSecret]).size).toBe(11);
    expect(fs.statSync(path.join(dir, 'keys.json')).mode & 0o777).toBe(0o600);
    expect(developmentKeys(dir)).toEqual(keys);
  });

  it('are never replaced because their file is damaged', () => {
    fs.writeFileSync(path.join(dir, 'keys.json'), '{');
    expect(() => developmentKeys(dir)).toThrow('is damaged');
  });

  it('each app gets only those it needs', () => {
    const services = servicesOfTestRun({
      COUNTERSIGN_TEST_REDIS_URL: 'redis://r',
      COUNTERSIGN_TEST_REDIS_BLOB_URL: 'redis://b',
      COUNTERSIGN_TEST_MONGODB_URI: 'mongodb://m',
      COUNTERSIGN_TEST_SMTP_URL: 'smtp://s',
      COUNTERSIGN_TEST_MAIL_DIR: '/mail',
    });
    expect(testEnvironment(services)).toMatchObject({ COUNTERSIGN_TEST_REDIS_BLOB_URL: 'redis://b' });
    const keys = developmentKeys(dir);
    const ports = { gateway: 1, audit: 2, inferenceHealth: 3, auditHealth: 4 };
    const auditTls = { cert: '/cert', key: '/key', ca: '/ca' };
    const options = { services, keys, auditTls, ports, checkpointFile: '/checkpoints', inferenceThreads: 2, extra: {} };
    const held = (app: 'gateway' | 'inference' | 'audit') => {
      const values = Object.values(appEnvironment(app, options));
      return Object.entries(keys).flatMap(([name, key]) => (values.includes(key) ? [name] : []));
    };
    expect(held('gateway')).toEqual([
      'auditSharedSecret',
      'sessionKey',
      'mailKey',
      'similarityKey',
      'eventKek',
      'eventMacKey',
    ]);
    expect(held('inference')).toEqual(['templateKek', 'evidenceKey', 'frameKey', 'resultKey']);
    expect(held('audit')).toEqual(['auditSharedSecret', 'mailKey', 'eventKek', 'eventMacKey', 'checkpointKey']);
  });
});
