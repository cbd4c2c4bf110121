import fs from 'node:fs';
import path from 'node:path';

interface Package {
  optionalDependencies?: Record<string, string>;
}

const ROOT = path.join(__dirname, '../..');
const { packages } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, Package>;
};

/** Where Node looks for what the package in `folder` requires, nearest first. */
function places(folder: string, name: string): string[] {
  const inside = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
  if (folder === '') return [inside];
  const parent = folder.slice(0, Math.max(folder.lastIndexOf('node_modules/') - 1, 0));
  return [inside, ...places(parent, name)];
}

describe('package-lock.json', () => {
  it('13.1, T52: has an entry for every optional package that it names, of any system: else npm ci refuses it', () => {
    const named = Object.entries(packages).flatMap(([folder, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).map((name) => ({ folder, name })),
    );
    expect(named.length).toBeGreaterThan(50);
    const missing = named.filter(({ folder, name }) => !places(folder, name).some((place) => place in packages));
    expect(missing).toEqual([]);
  });
});
