import fs from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from '#stack';
import { MUTATIONS, mutate } from './mutate.js';

describe('mutations', () => {
  it.each(MUTATIONS.map((m) => [m.name, m] as const))('has its place in the source: %s', (_, mutation) => {
    const source = fs.readFileSync(path.join(repositoryRoot(), mutation.file), 'utf8');
    expect(mutate(mutation)).not.toBe(source);
    const spec = fs.readFileSync(path.join(repositoryRoot(), mutation.spec), 'utf8');
    expect(spec.length).toBeGreaterThan(0);
  });

  it('are told apart by their names', () => {
    const names = MUTATIONS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });
});
