import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { repositoryRoot } from '#stack';

const LINE = 110;

/** Kernels, and where they are kept when compiled, in the repository. */
export const KERNELS = [
  { source: 'kernels/picture.ts', compiled: 'apps/inference/src/pipeline/kernels.wasm.ts', name: 'KERNELS' },
  { source: 'kernels/jpeg.ts', compiled: 'apps/inference/src/threads/jpeg.wasm.ts', name: 'JPEG' },
] as const;

/** Kernels as a module that carries their bytes: the same text for the same compiler. */
export function compileKernels({ source, name }: (typeof KERNELS)[number]): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'countersign-kernels-'));
  try {
    const out = path.join(folder, 'kernels.wasm');
    const root = repositoryRoot();
    const compiler = path.join(root, 'node_modules/assemblyscript/bin/asc.js');
    const options = ['-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--initialMemory', '1'];
    const { status, stderr } = spawnSync(process.execPath, [compiler, source, ...options, '-o', out], { cwd: root, encoding: 'utf8' }); // prettier-ignore
    if (status !== 0) throw new Error(`the kernels do not compile:\n${stderr}`);
    const text = readFileSync(out).toString('base64');
    const lines = text.match(new RegExp(`.{1,${LINE}}`, 'g')) ?? [];
    return `/** WebAssembly of ${source}, in base64. Made by \`npm run kernels:build\`; not to be edited. */\nexport const ${name} =\n${lines.map((line) => `  '${line}'`).join(' +\n')};\n`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
