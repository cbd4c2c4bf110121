import fs from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from '#stack';
import { AUTHORITY_MUTATIONS } from './authority-mutations.js';
import { GUARD_MUTATIONS, type Mutation } from './guard-mutations.js';

export const MUTATIONS: readonly Mutation[] = [...GUARD_MUTATIONS, ...AUTHORITY_MUTATIONS];

/** The mutated source of its file. */
export function mutate({ name, file, edits }: Mutation): string {
  const source = fs.readFileSync(path.join(repositoryRoot(), file), 'utf8');
  return edits.reduce((text, [from, to]) => {
    if (text.split(from).length !== 2) throw new Error(`${name}: ${file} no longer has exactly one «${from}»`);
    return text.replace(from, () => to);
  }, source);
}
