import path from 'node:path';
import { z } from 'zod';
import { env, KEY_PURPOSES, productionDemand } from '#config';
import { repositoryRoot } from '#stack';
import { auditConfigSchema } from '../../apps/audit/src/config.js';
import { gatewayEnvSchema } from '../../apps/gateway/src/config.js';
import { inferenceConfigSchema } from '../../apps/inference/src/config.js';
import { docComments } from './doc-comments.js';
import { markdownTable } from './markdown.js';

const PROCESSES = {
  gateway: { schema: gatewayEnvSchema, file: 'apps/gateway/src/config.ts' },
  inference: { schema: inferenceConfigSchema, file: 'apps/inference/src/config.ts' },
  audit: { schema: auditConfigSchema, file: 'apps/audit/src/config.ts' },
} as const;
type Process = keyof typeof PROCESSES;

interface Variable {
  processes: Process[];
  type: string;
  /** What stands in for a variable that is not set; `required` if nothing does. */
  fallback: string;
  meaning: string;
}

/** What the fragments of libs/config are called in the table. */
const TYPES = new Map<unknown, string>([
  [env.redisUrl, '`redis://` or `rediss://` URL'],
  [env.mongoUri, '`mongodb://` or `mongodb+srv://` URI'],
  [env.smtpUrl, '`smtp://` or `smtps://` URL'],
  [env.publicUrl, '`https://` URL (`http://` in development)'],
  [env.host, 'host name or address'],
  [env.port, 'TCP port'],
  [env.key32, 'one key (`name:base64url` of 32 bytes)'],
  [env.keySet, 'keys (`name:base64url`, comma separated, the first one makes)'],
  [env.secret, 'text of at least 32 characters'],
  [env.path, 'path'],
  [env.count, 'whole number ≥ 1'],
  [env.hours, 'whole number of 0 to 720'],
]);

/** Programs of this repository that read the environment besides the three processes. */
const TOOLS: readonly [name: string, meaning: string][] = [
  ['COUNTERSIGN_CACHE_DIR', 'Where `npm start`, the demo and the tests keep server packages they unpacked.'],
  ['COUNTERSIGN_DEBIAN_SUITE', 'From which Debian suite those packages are taken.'],
  ['DEBIAN_MIRROR', 'From which mirror; by default the one that apt on this machine uses.'],
  ['MONGOMS_DOWNLOAD_DIR', 'Where a downloaded mongod lies or is put.'],
  ['MONGOMS_RUNTIME_DOWNLOAD', '`no`: never download a mongod.'],
  ['MONGOMS_DOWNLOAD_MIRROR', 'Where a mongod is downloaded from.'],
  [
    'CHECKPOINT_VKEY',
    'The public key that `countersign audit verify` checks signatures with, unless `--vkey` names one.',
  ],
];

const INTRODUCTION = `# Configuration

Written by \`npm run docs:build\` from the schemas that the processes check at their start; a test holds the two equal.

Every process reads its environment once. A variable that does not parse ends the process at once with a line that names
the variable and what it must be, never its value. An empty variable counts as unset. Each variable may be given as a
file instead: \`X_FILE\` names the file that holds the value of \`X\`, as Docker and Kubernetes mount secrets.
\`countersign doctor\` checks a set-up without starting it.

With \`NODE_ENV=production\` a process refuses what is fit for development only: the column *production* says what it
demands beyond the type. Secrets are made by \`countersign keys new\` ([docs/keys.md](keys.md)).`;

/** docs/configuration.md: every variable, its type, default, processes, secrecy and what production demands. */
export function configurationDocument(): string {
  const variables = allVariables();
  const rows = [...variables]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, v]) => [
      `\`${name}\``,
      v.processes.join(', '),
      v.type,
      v.fallback,
      isSecret(name) ? 'yes' : '',
      productionDemand(name) ?? '',
      v.meaning,
    ]);
  return [
    INTRODUCTION,
    markdownTable(['variable', 'process', 'type', 'default', 'secret', 'production', 'meaning'], rows),
    '## Tools of this repository\n\nFor `npm start`, the demo, the tests and the command line only. They also take\n' +
      '`REDIS_URL`, `MONGODB_URI` and `SMTP_URL` and then start no server of that kind.',
    markdownTable(
      ['variable', 'meaning'],
      TOOLS.map(([name, meaning]) => [`\`${name}\``, meaning]),
    ),
  ]
    .join('\n\n')
    .concat('\n');
}

/** @throws Error naming every variable whose schema has no doc comment. */
function allVariables(): Map<string, Variable> {
  const found = new Map<string, Variable>();
  const unexplained: string[] = [];
  const fragments = docComments(path.join(repositoryRoot(), 'libs/config/src/env.ts'));
  for (const [name, { schema, file }] of Object.entries(PROCESSES)) {
    const comments = docComments(path.join(repositoryRoot(), file));
    for (const [variable, type] of Object.entries<z.core.$ZodType>(schema.shape)) {
      const known = found.get(variable);
      const meaning =
        comments.get(variable) ?? known?.meaning ?? KEY_MEANINGS[variable] ?? fragments.get(camel(variable));
      if (known) {
        known.processes.push(name as Process);
        known.meaning ||= meaning ?? '';
        continue;
      }
      found.set(variable, { processes: [name as Process], ...typeOf(type), meaning: meaning ?? '' });
    }
  }
  for (const [variable, { meaning }] of found) if (meaning === '') unexplained.push(variable);
  if (unexplained.length > 0) throw new Error(`no doc comment says what these are for: ${unexplained.join(', ')}`);
  return found;
}

const KEY_MEANINGS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(KEY_PURPOSES).map(([name, purpose]) => [name, `${purpose}.`]),
);

/** `LOG_LEVEL` → `logLevel`, the name of its fragment. */
const camel = (name: string): string =>
  name.toLowerCase().replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

function isSecret(name: string): boolean {
  if (/PUBLIC/.test(name)) return false;
  return (
    name in KEY_PURPOSES ||
    /^(MONGODB_URI|REDIS_URL|REDIS_BLOB_URL|SMTP_URL)$/.test(name) ||
    /(SECRET|_KEY)(_FILE)?$/.test(name)
  );
}

function typeOf(schema: z.core.$ZodType): Pick<Variable, 'type' | 'fallback'> {
  let inner: z.core.$ZodType = schema;
  let fallback = 'required';
  for (;;) {
    if (inner instanceof z.ZodDefault) {
      const value: unknown = inner.def.defaultValue;
      fallback = value === '' ? 'empty' : `\`${String(value)}\``;
      inner = inner.def.innerType;
    } else if (inner instanceof z.ZodOptional) {
      fallback = 'none';
      inner = inner.def.innerType;
    } else if (inner instanceof z.ZodPipe && !TYPES.has(inner)) {
      inner = inner.def.in;
    } else break;
  }
  return { type: TYPES.get(inner) ?? plainType(inner), fallback };
}

function plainType(schema: z.core.$ZodType): string {
  if (schema instanceof z.ZodEnum) return schema.options.map((option) => `\`${String(option)}\``).join(', ');
  if (schema instanceof z.ZodNumber) {
    const { minValue, maxValue } = schema;
    const range = [minValue, maxValue].every((bound) => bound !== null && Math.abs(bound) < Number.MAX_SAFE_INTEGER);
    return range ? `number ${String(minValue)}–${String(maxValue)}` : 'number';
  }
  return 'text';
}
