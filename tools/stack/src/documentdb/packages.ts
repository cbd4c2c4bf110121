import fs from 'node:fs';
import path from 'node:path';
import { inTree, loaderOf, type PackageSet, type Tree } from '../debian/index.js';

const POSTGRES = 18;
const BIN = `usr/lib/postgresql/${POSTGRES}/bin`;

export const DOCUMENTDB_PACKAGES: PackageSet = {
  name: 'documentdb',
  title: 'DocumentDB',
  packages: [`postgresql-${POSTGRES}-documentdb`, 'tzdata'],
  finish(tree, root, source) {
    // What the packages' scripts would have done, as far as it matters here: update-alternatives of PostGIS.
    const extension = path.join(tree, `usr/share/postgresql/${POSTGRES}/extension`);
    const control = path.join(extension, 'postgis.control');
    if (!fs.existsSync(control)) fs.symlinkSync('postgis-3.control', control);
    // initdb starts `postgres` from its own folder by name: make that name a wrapper around the loader.
    const bin = path.join(tree, BIN);
    fs.renameSync(path.join(bin, 'postgres'), path.join(bin, 'postgres.real'));
    const loader = loaderOf(root, source, libraries(source.triplet)).map((word) => `'${word}'`);
    const script = `#!/bin/sh\nexec ${loader.join(' ')} --argv0 '${root}/${BIN}/postgres' '${root}/${BIN}/postgres.real' "$@"\n`;
    fs.writeFileSync(path.join(bin, 'postgres'), script, { mode: 0o755 });
  },
};

/** PostgreSQL finds its share and library folders from the path it is called by (`--argv0`). */
export function postgresCommand(tree: Tree, program: 'initdb' | 'postgres', args: string[]): [string, string[]] {
  const file = program === 'postgres' ? 'postgres.real' : program;
  return inTree(tree, `${BIN}/${file}`, args, libraries(tree.source.triplet), `${BIN}/${file}`);
}

const libraries = (triplet: string): string[] => [
  `usr/lib/postgresql/${POSTGRES}/lib`,
  `usr/lib/${triplet}/blas`,
  `usr/lib/${triplet}/lapack`,
];
