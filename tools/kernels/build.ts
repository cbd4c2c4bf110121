import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from '#stack';
import { COMPILED, compileKernels } from './compile.js';

const HELP = `npm run kernels:build

Compiles kernels/picture.ts (AssemblyScript) to ${COMPILED}, which is committed. A test compares.
`;

if (process.argv.includes('--help')) {
  console.log(HELP);
} else {
  writeFileSync(path.join(repositoryRoot(), COMPILED), compileKernels());
  console.log(`written: ${COMPILED}`);
}
