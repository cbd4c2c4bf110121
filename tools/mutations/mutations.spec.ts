import fs from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from '#stack';
import { GUARD_MUTATIONS } from './guard-mutations.js';
import { mutate } from './mutate.js';

describe('mutations of the guard', () => {
  it.each(GUARD_MUTATIONS.map((m) => [m.name, m] as const))('has its place in the source: %s', (_, mutation) => {
    const source = fs.readFileSync(path.join(repositoryRoot(), 'libs/guard/src', mutation.file), 'utf8');
    expect(mutate(mutation)).not.toBe(source);
    const spec = fs.readFileSync(path.join(repositoryRoot(), 'test/medium', `${mutation.spec}.spec.ts`), 'utf8');
    expect(spec.length).toBeGreaterThan(0);
  });

  it('are told apart by their names', () => {
    const names = GUARD_MUTATIONS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });
});
