import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ROOT } from './source-files.js';

/** Plants one forbidden import at a time and expects the rule that forbids it to say so. */
const PLANTED: { rule: string; file: string; imports: string; target?: string }[] = [
  {
    rule: 'apps-are-islands',
    file: 'apps/gateway/src/a.ts',
    imports: '../../audit/src/b.js',
    target: 'apps/audit/src/b.ts',
  },
  {
    rule: 'libs-never-import-apps',
    file: 'libs/guard/src/a.ts',
    imports: '../../../apps/audit/src/b.js',
    target: 'apps/audit/src/b.ts',
  },
  {
    rule: 'apps-never-import-tools',
    file: 'apps/audit/src/a.ts',
    imports: '../../../tools/b.js',
    target: 'tools/b.ts',
  },
  {
    rule: 'testing-only-from-tests',
    file: 'apps/audit/src/a.ts',
    imports: '../../../libs/testing/src/index.js',
    target: 'libs/testing/src/index.ts',
  },
  {
    rule: 'one-index-per-lib',
    file: 'apps/audit/src/a.ts',
    imports: '../../../libs/guard/src/b.js',
    target: 'libs/guard/src/b.ts',
  },
  { rule: 'contracts-imports-nothing-of-ours-and-only-zod', file: 'libs/contracts/src/a.ts', imports: 'node:fs' },
  {
    rule: 'accounts-above-guard',
    file: 'libs/accounts/src/a.ts',
    imports: '../../queue/src/index.js',
    target: 'libs/queue/src/index.ts',
  },
  {
    rule: 'leaf-libs',
    file: 'libs/config/src/a.ts',
    imports: '../../queue/src/index.js',
    target: 'libs/queue/src/index.ts',
  },
  {
    rule: 'queue-and-guard-below-apps',
    file: 'libs/queue/src/a.ts',
    imports: '../../guard/src/index.js',
    target: 'libs/guard/src/index.ts',
  },
  { rule: 'one-home-bullmq', file: 'apps/gateway/src/a.ts', imports: 'bullmq' },
  { rule: 'one-home-ioredis', file: 'apps/audit/src/a.ts', imports: 'ioredis' },
  { rule: 'one-home-mongoose', file: 'apps/audit/src/a.service.ts', imports: 'mongoose' },
  { rule: 'one-home-onnxruntime-node', file: 'apps/inference/src/pipeline/a.ts', imports: 'onnxruntime-node' },
  { rule: 'one-home-onnxruntime-node', file: 'tools/a.ts', imports: 'onnxruntime-node' },
  { rule: 'one-home-onnxruntime-node', file: 'apps/inference/src/model/a.ts', imports: 'onnxruntime-node' },
  { rule: 'one-home-sharp', file: 'apps/gateway/src/a.ts', imports: 'sharp' },
  { rule: 'one-home--node-rs-argon-', file: 'apps/gateway/src/a.ts', imports: '@node-rs/argon2' },
  { rule: 'one-home-nodemailer', file: 'apps/gateway/src/a.ts', imports: 'nodemailer' },
  { rule: 'pipeline-is-pure', file: 'apps/inference/src/pipeline/a.ts', imports: '@nestjs/common' },
  { rule: 'no-nest-in-contracts-or-guard', file: 'libs/guard/src/a.ts', imports: '@nestjs/common' },
  { rule: 'no-dev-dependency-in-the-product', file: 'apps/gateway/src/a.ts', imports: 'fast-check' },
  { rule: 'no-cycles', file: 'libs/guard/src/a.ts', imports: './c.js', target: 'libs/guard/src/c.ts' },
];

interface Violation {
  from: string;
  rule: { name: string };
}

describe('import borders', () => {
  let tree: string;
  let violations: Violation[];
  const planted = (file: string, rule: string): string => file.replace(/a(\.service)?\.ts$/, `${rule}$1.ts`);

  beforeAll(() => {
    tree = mkdtempSync(path.join(os.tmpdir(), 'borders-'));
    for (const file of ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json']) {
      cpSync(path.join(ROOT, file), path.join(tree, file));
    }
    symlinkSync(path.join(ROOT, 'node_modules'), path.join(tree, 'node_modules'));
    const plant = (file: string, text: string): void => {
      mkdirSync(path.dirname(path.join(tree, file)), { recursive: true });
      writeFileSync(path.join(tree, file), text);
    };
    for (const { rule, file, imports, target } of PLANTED) {
      plant(planted(file, rule), `import * as x from '${imports}';\nexport const y = x;\n`);
      // A cycle needs the way back; every other target stands alone.
      const back = rule === 'no-cycles' ? `import * as x from './${rule}.js';\nexport const z = x;\n` : '';
      if (target) plant(target, back || 'export const z = 1;\n');
    }
    plant(
      'apps/gateway/src/allowed.ts',
      `import { z } from '../../../libs/guard/src/index.js';\nexport const y = z;\n`,
    );
    plant('libs/guard/src/index.ts', 'export const z = 1;\n');

    const bin = path.join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
    const args = [bin, '--config', '.dependency-cruiser.cjs', '--output-type', 'json', 'apps', 'libs', 'tools'];
    const run = spawnSync(process.execPath, args, { cwd: tree, encoding: 'utf8', maxBuffer: 1 << 26 });
    violations = (JSON.parse(run.stdout) as { summary: { violations: Violation[] } }).summary.violations;
  });
  afterAll(() => rmSync(tree, { recursive: true, force: true }));

  it.each(PLANTED)('$rule', ({ rule, file, target }) => {
    // A cycle may be reported from either end.
    const found = violations.filter(({ from }) => from === planted(file, rule) || from === target);
    expect(found.map((violation) => violation.rule.name)).toContain(rule);
  });

  it('lets through what is allowed', () => {
    expect(violations.filter((violation) => violation.from === 'apps/gateway/src/allowed.ts')).toEqual([]);
  });
});
