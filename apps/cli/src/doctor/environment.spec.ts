import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { environment, erasureHold, secretFiles } from './environment.js';

describe('doctor: who may read the files of keys', () => {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'doctor-keys-')), 'MAIL_KEY');
  beforeAll(() => fs.writeFileSync(file, 'k:v'));
  afterEach(() => jest.restoreAllMocks());
  afterAll(() => fs.rmSync(path.dirname(file), { recursive: true }));

  it.each([
    [0o600, 'no group', 'ok'],
    [0o400, 'no group', 'ok'],
    // As Kubernetes mounts a Secret under fsGroup, and as `countersign init` writes.
    [0o440, 'its group', 'ok'],
    [0o640, 'its group', 'ok'],
    [0o640, 'its main group', 'ok'],
    [0o640, 'no group', 'bad'],
    [0o660, 'its group', 'bad'],
    [0o644, 'its group', 'bad'],
    [0o641, 'its group', 'bad'],
  ])('mode %o, read by a process of %s: %s', (mode, of, verdict) => {
    fs.chmodSync(file, mode);
    const { gid } = fs.statSync(file);
    jest.spyOn(process, 'getgid').mockReturnValue(of === 'its main group' ? gid : gid + 1);
    jest.spyOn(process, 'getgroups').mockReturnValue(of === 'its group' ? [gid + 2, gid] : [gid + 2]);
    expect(secretFiles({ MAIL_KEY_FILE: file })).toMatchObject([{ check: 'key files', verdict }]);
  });
});

describe('doctor: how long an erasure can be stopped', () => {
  const found = (hours?: string): unknown => {
    const needed = { MONGODB_URI: 'mongodb://db/x?replicaSet=rs0', REDIS_URL: 'redis://queue', REDIS_BLOB_URL: 'redis://blobs', SESSION_KEY: randomBytes(32).toString('base64') }; // prettier-ignore
    const { given } = environment({ ...needed, ...(hours === undefined ? {} : { ERASURE_HOLD_HOURS: hours }) });
    return given && erasureHold(given).map(({ check, verdict }) => [check, verdict]);
  };
  it('15.7: not at all is named, hours are nothing to speak of', () => {
    expect(found('0')).toEqual([['erasure', 'note']]);
    expect(found('72')).toEqual([]);
    expect(found()).toEqual([]);
    for (const wrong of [' ', '-1', '1.5', '721', '1e2', 'none']) expect([wrong, found(wrong)]).toEqual([wrong, null]);
  });
});
