import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { repositoryRoot } from '#stack';

interface Schema {
  $ref?: string;
  type?: string;
  const?: unknown;
  enum?: unknown[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  format?: string;
  description?: string;
}
interface Operation {
  summary?: string;
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

const REF = '#/components/schemas/';
const HEADER = '// Made from the gateway\'s OpenAPI document by "npm run client:build". Do not edit.\n';

/** TypeScript for these operations: what they take, what they answer, and the codes of their refusals. */
export function typesOf(document: unknown, operations: readonly string[]): string {
  const { paths, components } = document as Document;
  const used = new Set<string>();
  const codes = new Set<string>();
  const lines = operations.map((name) => {
    const [method = '', path = ''] = name.split(' ');
    const operation = paths[path]?.[method.toLowerCase()];
    if (!operation) throw new Error(`the document has no ${name}`);
    for (const code of codesOf(operation)) codes.add(code);
    const body = operation.requestBody ? bodyOf(operation.requestBody.content, used) : 'undefined';
    const answer = Object.entries(operation.responses).find(([status]) => status.startsWith('2'))?.[1];
    const answered = answer?.content ? bodyOf(answer.content, used) : 'undefined';
    return `  /** ${operation.summary ?? ''} */\n  '${name}': { body: ${body}; answer: ${answered} };`;
  });
  const named: string[] = [];
  const done = new Set<string>();
  for (let open = [...used]; open.length > 0; open = [...used].filter((name) => !done.has(name))) {
    for (const name of open) {
      done.add(name);
      const schema = components.schemas[name];
      if (!schema) throw new Error(`the document has no schema ${name}`);
      named.push(`export type ${name} = ${typeOf(schema, used)};`);
    }
  }
  const union = [...codes].sort().map((code) => `'${code}'`).join(' | '); // prettier-ignore
  const text = [
    HEADER,
    ...named.sort(),
    `/** Why one of these operations was refused. */\nexport type ErrorCode = ${union};`,
    `export interface Operations {\n${lines.join('\n')}\n}`,
  ].join('\n\n');
  return formatted(text);
}

/** By a process of its own, as Jest cannot load it. */
function formatted(input: string): string {
  const prettier = path.join(repositoryRoot(), 'node_modules/prettier/bin/prettier.cjs');
  return execFileSync(process.execPath, [prettier, '--stdin-filepath', 'libs/client/src/api.ts'], {
    cwd: repositoryRoot(),
    encoding: 'utf8',
    input,
  });
}

function bodyOf(content: Record<string, { schema: Schema }>, used: Set<string>): string {
  const json = content['application/json'];
  return json ? typeOf(json.schema, used) : 'Uint8Array';
}

function codesOf({ responses }: Operation): string[] {
  return Object.values(responses).flatMap(({ content }) => {
    const parts = content?.['application/problem+json']?.schema.allOf ?? [];
    return parts.flatMap((part) => (part.properties?.code?.enum as string[] | undefined) ?? []);
  });
}

function typeOf(schema: Schema, used: Set<string>): string {
  if (schema.$ref) {
    const name = schema.$ref.slice(REF.length);
    used.add(name);
    return name;
  }
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const any = schema.anyOf ?? schema.oneOf;
  if (any) return any.map((one) => typeOf(one, used)).join(' | ');
  if (schema.allOf) return schema.allOf.map((one) => `(${typeOf(one, used)})`).join(' & ');
  switch (schema.type) {
    case 'object':
      return objectOf(schema, used);
    case 'array':
      return `(${schema.items ? typeOf(schema.items, used) : 'unknown'})[]`;
    case 'integer':
    case 'number':
      return 'number';
    case 'string':
    case 'boolean':
    case 'null':
      return schema.type;
    default:
      return 'unknown';
  }
}

function objectOf({ properties = {}, required = [] }: Schema, used: Set<string>): string {
  const fields = Object.entries(properties).map(
    ([name, one]) => `${name}${required.includes(name) ? '' : '?'}: ${typeOf(one, used)};`,
  );
  return fields.length > 0 ? `{ ${fields.join(' ')} }` : 'Record<string, never>';
}
