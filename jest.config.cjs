// Seen by every test process before a library is loaded; what a test sets in its sandbox is not (see no-telemetry.ts).
process.env.ORT_DISABLE_TELEMETRY = '1';

/** Three sizes of test and the repository's own rules, each a project: `npx jest --selectProjects unit`. */
const common = {
  transform: { '^.+\\.(t|m?j)s$': '@swc/jest' },
  // Nest 12 and a few of its dependencies are ESM only; Jest runs CommonJS.
  transformIgnorePatterns: [
    '/node_modules/(?!(@nestjs|cookie|file-type|strtok3|token-types|uint8array-extras|@tokenizer|find-my-way|load-esm)/)',
  ],
  moduleNameMapper: {
    '^#stack$': '<rootDir>/tools/stack/src',
    '^#(contracts|config|observability|sealing|audit-log|guard|accounts|client|queue|service-clients|testing)$':
      '<rootDir>/libs/$1/src',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  moduleFileExtensions: ['ts', 'js', 'mjs', 'cjs', 'json', 'node'],
  testEnvironment: 'node',
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.countersign/'],
};

module.exports = {
  testTimeout: 30_000,
  projects: [
    { ...common, displayName: 'unit', testMatch: ['<rootDir>/{apps,libs,tools,examples}/**/*.spec.ts'] },
    { ...common, displayName: 'architecture', testMatch: ['<rootDir>/test/architecture/**/*.spec.ts'] },
    { ...common, displayName: 'medium', testMatch: ['<rootDir>/test/medium/**/*.spec.ts'] },
    { ...common, displayName: 'deployment', testMatch: ['<rootDir>/test/deployment/**/*.spec.ts'] },
    { ...common, displayName: 'e2e', testMatch: ['<rootDir>/test/e2e/**/*.spec.ts'] },
    // Long ones: only where they are asked for (npm run nightly).
    ...(process.env.NIGHTLY
      ? [{ ...common, displayName: 'nightly', testMatch: ['<rootDir>/test/nightly/**/*.spec.ts'] }]
      : []),
  ],
};
