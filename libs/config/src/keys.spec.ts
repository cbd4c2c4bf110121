import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { env, parseEnv } from './env.js';
import { knownKeys } from './keys.js';

const bytes = (): string => randomBytes(32).toString('base64url');

describe('keys from the environment or from files', () => {
  let dir: string;
  beforeEach(() => (dir = mkdtempSync(path.join(tmpdir(), 'keys-'))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));
  const schema = z.object({ RESULT_PUBLIC_KEYS: env.keySet, MAIL_KEY: env.key32 });

  it('a variable may stand in a file, and a set be in lines', () => {
    const file = path.join(dir, 'results');
    writeFileSync(file, `k2:${bytes()}\nk1:${bytes()}\n`);
    const config = parseEnv(schema, { RESULT_PUBLIC_KEYS_FILE: file, MAIL_KEY: bytes() });
    expect(config.RESULT_PUBLIC_KEYS.map(({ id }) => id)).toEqual(['k2', 'k1']);
    expect(config.MAIL_KEY).toHaveLength(32);
  });

  it('given twice, or in a file that is not there, it is refused by name', () => {
    const good = { RESULT_PUBLIC_KEYS: `k1:${bytes()}`, MAIL_KEY: bytes() };
    expect(() => parseEnv(schema, { ...good, MAIL_KEY_FILE: '/canary' })).toThrow('MAIL_KEY: must not be set twice');
    const missing = (): unknown => parseEnv(schema, { ...good, MAIL_KEY: undefined, MAIL_KEY_FILE: '/canary' });
    expect(missing).toThrow('MAIL_KEY_FILE: must name a file that can be read');
    expect(missing).not.toThrow('canary');
  });

  it.each(['', 'k1', `${bytes()},${bytes()}`, `k1:${bytes()},k1:${bytes()}`, `k 1:${bytes()}`, 'k1:c2hvcnQ'])(
    'a set that is %j is refused',
    (text) => {
      expect(() => parseEnv(schema, { RESULT_PUBLIC_KEYS: text, MAIL_KEY: bytes() })).toThrow('RESULT_PUBLIC_KEYS');
    },
  );

  it('are listed by name and age, without a byte of theirs', () => {
    const [first, second, plain, filed] = [bytes(), bytes(), bytes(), bytes()];
    const file = path.join(dir, 'session');
    writeFileSync(file, `old:${filed}`);
    utimesSync(file, new Date('2026-01-02'), new Date('2026-01-02'));
    const list = knownKeys({
      RESULT_PUBLIC_KEYS: `20261101-a:${first},20260501-b:${second}`,
      MAIL_KEY: plain,
      SESSION_KEY_FILE: file,
    });
    expect(list).toEqual([
      { variable: 'SESSION_KEY', id: 'old', madeAt: new Date('2026-01-02'), makes: true },
      { variable: 'MAIL_KEY', id: 'unnamed', madeAt: null, makes: true },
      { variable: 'RESULT_PUBLIC_KEYS', id: '20261101-a', madeAt: new Date('2026-11-01'), makes: true },
      { variable: 'RESULT_PUBLIC_KEYS', id: '20260501-b', madeAt: new Date('2026-05-01'), makes: false },
    ]);
    for (const secret of [first, second, plain, filed]) expect(JSON.stringify(list)).not.toContain(secret);
  });
});
