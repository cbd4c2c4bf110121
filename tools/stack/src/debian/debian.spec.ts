import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { lockOf, updateProblem } from './apt.js';
import { type PackageSource } from './source.js';
import { fingerprint } from './unpack.js';

const SOURCE: PackageSource = {
  mirror: 'http://mirror.test/debian',
  suite: 'forky',
  components: 'main',
  keyring: '/keyring.gpg',
  keyringPackage: 'debian-archive-keyring',
  architecture: 'amd64',
  triplet: 'x86_64-linux-gnu',
  loader: 'ld.so',
};

describe('what a failed package index says', () => {
  it('names the suite that the mirror does not have', () => {
    const output =
      'Err:1 http://mirror.test forky Release\n  404  Not Found\nE: The repository does not have a Release file.';
    expect(updateProblem(SOURCE, output)).toMatch(/^the mirror .* has no suite "forky" \(set COUNTERSIGN_DEBIAN_SUITE/);
  });

  it('names the keyring when the signature is not known', () => {
    expect(updateProblem(SOURCE, 'NO_PUBKEY 0E98404D386FA1D9')).toMatch(/not signed by a key of \/keyring\.gpg/);
  });

  it('names the mirror when it cannot be reached', () => {
    expect(updateProblem(SOURCE, 'Could not connect to mirror.test:80')).toMatch(
      /cannot be reached \(set DEBIAN_MIRROR/,
    );
  });
});

describe('what is kept', () => {
  let dir: string;
  beforeEach(() => (dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tree-'))));
  afterEach(() => fs.rmSync(dir, { recursive: true, force: true }));

  it('a tree with a file cut short, gone or made executable has another fingerprint', () => {
    fs.mkdirSync(path.join(dir, 'usr'));
    const [one, two] = [path.join(dir, 'usr/one'), path.join(dir, 'two')];
    fs.writeFileSync(one, 'library', { mode: 0o644 });
    fs.writeFileSync(two, 'x');
    const complete = fingerprint(dir);
    expect(fingerprint(dir)).toBe(complete);
    fs.truncateSync(one, 3);
    expect(fingerprint(dir)).not.toBe(complete);
    fs.writeFileSync(one, 'library');
    expect(fingerprint(dir)).toBe(complete);
    fs.chmodSync(one, 0o755);
    expect(fingerprint(dir)).not.toBe(complete);
    fs.chmodSync(one, 0o644);
    fs.rmSync(two);
    expect(fingerprint(dir)).not.toBe(complete);
  });

  it('packages.lock is what sha256sum checks', () => {
    fs.writeFileSync(path.join(dir, 'b.deb'), 'b');
    fs.writeFileSync(path.join(dir, 'a.deb'), '');
    const lock = lockOf(dir, [
      { file: 'b.deb', bytes: 1 },
      { file: 'a.deb', bytes: 0 },
    ]);
    expect(lock).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a.deb\n' +
        '3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  b.deb\n',
    );
  });
});
