import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildModels } from './build-models.js';
import { runCommand } from './command.js';
import { repositoryRoot } from './repository-root.js';

const HELP = `npm run models:verify

Makes the models again in a temporary folder and compares them with models/ byte for byte.
Exit 0: equal. Exit 1: something differs, is missing or is not ours; the names are printed.
`;

runCommand('models', HELP, async (log) => {
  const committed = join(repositoryRoot(), 'models');
  const rebuilt = await mkdtemp(join(tmpdir(), 'countersign-models-'));
  try {
    await buildModels(rebuilt, log);
    const differing = await compareFolders(rebuilt, committed);
    for (const name of differing) log(`differs: ${name}`);
    log(differing.length === 0 ? 'models/ is what the packages give, byte for byte' : 'models/ is not reproducible');
    return differing.length === 0 ? 0 : 1;
  } finally {
    await rm(rebuilt, { recursive: true, force: true });
  }
});

/** Names of the files that are not the same in both folders, or that only one of them has. */
async function compareFolders(one: string, other: string): Promise<string[]> {
  const namesOf = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);
  const names = new Set([...(await namesOf(one)), ...(await namesOf(other))]);
  const differing: string[] = [];
  for (const name of [...names].sort()) {
    const [a, b] = await Promise.all([one, other].map((folder) => readFile(join(folder, name)).catch(() => undefined)));
    if (a === undefined || b === undefined || !a.equals(b)) differing.push(name);
  }
  return differing;
}
