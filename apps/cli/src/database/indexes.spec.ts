import { createHash } from 'node:crypto';
import { SCHEMA_VERSION } from '#contracts';
import { INDEXES } from './indexes.js';
import { MIGRATIONS } from './migrations.js';

/** Of INDEXES at each schema version. A version that was released keeps its line. */
const INDEXES_AT: Readonly<Record<number, string>> = {
  1: 'e0c31943ebb42aca26ea94fa720eee40deca3cc4c81aa677d2de64f6153fe2db',
  2: 'e0c31943ebb42aca26ea94fa720eee40deca3cc4c81aa677d2de64f6153fe2db',
  3: 'e0c31943ebb42aca26ea94fa720eee40deca3cc4c81aa677d2de64f6153fe2db',
  4: 'e0c31943ebb42aca26ea94fa720eee40deca3cc4c81aa677d2de64f6153fe2db',
  5: '4592f426ddc4c4e0eb56fcf7c9950f24b79ea54bebc3d3b745490b2947e4eec9',
  6: '717d326232dfad96af966388e2741ca9b918c2443c6bcea7cf2ab9ae2f47ffd0',
  7: '717d326232dfad96af966388e2741ca9b918c2443c6bcea7cf2ab9ae2f47ffd0',
  8: '717d326232dfad96af966388e2741ca9b918c2443c6bcea7cf2ab9ae2f47ffd0',
  9: 'bc8bfb15fddd582344fc39aa9501b20a12f08b77b6877c182a61f141bc6a0221',
};

const digest = (): string =>
  createHash('sha256')
    .update(INDEXES.map((one) => JSON.stringify(one)).sort().join('\n'))
    .digest('hex'); // prettier-ignore

describe('the schema of the database', () => {
  it('an index comes, goes or changes only with a schema version of its own: raise SCHEMA_VERSION, add a migration and a line here', () => {
    expect(INDEXES_AT[SCHEMA_VERSION]).toBe(digest());
  });

  it('has a migration for each version, in order', () => {
    const versions = Array.from({ length: SCHEMA_VERSION }, (_, i) => i + 1);
    expect(MIGRATIONS.map(({ version }) => version)).toEqual(versions);
    expect(Object.keys(INDEXES_AT).map(Number)).toEqual(versions);
  });

  it('knows each index once', () => {
    const names = INDEXES.map(({ collection, key }) => `${collection} ${JSON.stringify(key)}`);
    expect(new Set(names).size).toBe(names.length);
  });
});
