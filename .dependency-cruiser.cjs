/** Import directions (README, "How it is laid out"): contracts, config, sealing ← observability ← queue, guard, audit-log ← accounts ← apps. */
const lib = (name) => `^libs/${name}/`;
const TEST = '(\\.spec\\.ts$|^test/)';

/** One driver, one home: `module` may be imported only from `homes`. */
const home = (module, homes) => ({
  name: `one-home-${module.replace(/[^a-z]+/g, '-')}`,
  severity: 'error',
  from: { pathNot: [...homes, TEST, '^tools/', '^bench/'] },
  to: { path: `(^|/)node_modules/${module}/`, dependencyTypesNot: ['type-only'] },
});

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'apps-are-islands',
      severity: 'error',
      from: { path: '^apps/([^/]+)/' },
      to: { path: '^apps/', pathNot: '^apps/$1/' },
    },
    {
      name: 'libs-never-import-apps',
      severity: 'error',
      from: { path: '^libs/' },
      to: { path: '^(apps|tools|test)/' },
    },
    {
      name: 'apps-never-import-tools',
      severity: 'error',
      from: { path: '^apps/' },
      to: { path: '^(tools|test|bench)/' },
    },
    {
      name: 'leaf-libs',
      severity: 'error',
      from: { path: '^libs/(contracts|config|sealing)/' },
      to: { path: '^libs/', pathNot: ['^libs/(contracts|config|sealing)/.*'] },
    },
    {
      name: 'contracts-imports-nothing-of-ours-and-only-zod',
      comment: "Besides, the runtime's own parser of addresses: there is to be one way in which an address is written.",
      severity: 'error',
      from: { path: lib('contracts'), pathNot: TEST },
      to: { pathNot: [lib('contracts'), '(^|/)node_modules/zod/', '^net$'] },
    },
    {
      name: 'client-stands-alone',
      comment: 'Relying applications take it as it is: no dependency, nothing of ours.',
      severity: 'error',
      from: { path: lib('client'), pathNot: TEST },
      to: { pathNot: [lib('client')] },
    },
    {
      name: 'examples-know-the-client-only',
      severity: 'error',
      from: { path: '^examples/' },
      to: { path: '^(apps|libs|tools|test)/', pathNot: [lib('client')] },
    },
    {
      name: 'observability-below-queue',
      severity: 'error',
      from: { path: lib('observability'), pathNot: TEST },
      to: { path: '^libs/', pathNot: ['^libs/(contracts|config|observability)/'] },
    },
    {
      name: 'queue-and-guard-below-apps',
      severity: 'error',
      from: { path: '^libs/(queue|guard)/', pathNot: TEST },
      to: { path: '^libs/(queue|guard|testing)/', pathNot: ['^libs/$1/'] },
    },
    {
      name: 'accounts-above-guard',
      severity: 'error',
      from: { path: lib('accounts'), pathNot: TEST },
      to: { path: '^libs/', pathNot: ['^libs/(accounts|contracts|sealing|guard)/'] },
    },
    {
      name: 'audit-log-is-pure',
      comment: 'The log as bytes: what writes it and what verifies it share it.',
      severity: 'error',
      from: { path: lib('audit-log'), pathNot: TEST },
      to: {
        path: ['^libs/', '(^|/)node_modules/'],
        pathNot: ['^libs/(audit-log|contracts|sealing)/', '(^|/)node_modules/@types/'],
      },
    },
    {
      name: 'testing-only-from-tests',
      severity: 'error',
      from: { pathNot: [TEST, lib('testing'), '^tools/', '^bench/'] },
      to: { path: lib('testing') },
    },
    {
      name: 'one-index-per-lib',
      comment: 'Libraries are entered through their index.',
      severity: 'error',
      from: { path: '^(apps|libs|tools|test)/([^/]+)/' },
      to: { path: '^libs/([^/]+)/src/', pathNot: ['^libs/[^/]+/src/index\\.ts$', '^libs/$2/'] },
    },
    {
      name: 'pipeline-is-pure',
      severity: 'error',
      from: { path: '^apps/inference/src/pipeline/', pathNot: TEST },
      to: { path: '(^|/)node_modules/(@nestjs|bullmq|ioredis|onnxruntime-node|sharp|mongoose)/' },
    },
    {
      name: 'no-nest-in-contracts-or-guard',
      severity: 'error',
      from: { path: '^libs/(contracts|guard|accounts|sealing|config)/' },
      to: { path: '(^|/)node_modules/@nestjs/' },
    },
    home('bullmq', [lib('queue')]),
    home('ioredis', [lib('queue'), '^apps/gateway/src/redis/']),
    {
      name: 'one-home-onnxruntime-node',
      comment: 'Tools and tests, too: whoever loads it elsewhere reports to its maker (no-telemetry.ts).',
      severity: 'error',
      from: { pathNot: ['^apps/inference/src/model/runtime\\.ts$'] },
      to: { path: '(^|/)node_modules/onnxruntime-node/', dependencyTypesNot: ['type-only'] },
    },
    home('sharp', ['^apps/inference/src/threads/', lib('testing')]),
    home('@node-rs/argon2', [lib('accounts')]),
    home('nodemailer', ['^apps/audit/src/notifications/']),
    home('mongoose', [
      '\\.repository\\.ts$',
      '\\.schema\\.ts$',
      '^apps/[^/]+/src/app\\.module\\.ts$',
      '\\.module\\.ts$',
    ]),
    {
      name: 'no-dev-dependency-in-the-product',
      severity: 'error',
      from: { path: '^(apps|libs)/', pathNot: [TEST, lib('testing')] },
      to: { dependencyTypes: ['npm-dev'], pathNot: '(^|/)node_modules/@types/' },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|\\.countersign)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['types', 'import', 'require', 'node', 'default'],
    },
  },
};
