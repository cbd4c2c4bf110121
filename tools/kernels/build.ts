import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from '#stack';
import { compileKernels, KERNELS } from './compile.js';

const HELP = `npm run kernels:build

Compiles kernels/*.ts (AssemblyScript) to modules, which are committed. A test compares.

${KERNELS.map(({ source, compiled }) => `  ${source} → ${compiled}`).join('\n')}
`;

if (process.argv.includes('--help')) {
  console.log(HELP);
} else {
  for (const kernels of KERNELS) {
    writeFileSync(path.join(repositoryRoot(), kernels.compiled), compileKernels(kernels));
    console.log(`written: ${kernels.compiled}`);
  }
}
