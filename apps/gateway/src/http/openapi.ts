import { z } from 'zod';
import type { ErrorCode } from '#contracts';
import { errorRow } from './error-table.js';
import { type Access, RECENT_SECONDS } from './policy.js';
import type { Route } from './routes.js';

type Json = Record<string, unknown>;

const JSON_MEDIA = 'application/json';
const PROBLEM_MEDIA = 'application/problem+json';

const FRAMES =
  'All frames of the step: u32 big-endian length of a JSON header ' +
  '`{"frames":[{"tMs":0,"bytes":12345},…],"device":{"model":"…"}}`, the header, then the JPEG or WebP images one after ' +
  'the other, unmirrored.';

const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description: 'The same request under the same key is done once, and answered with the first answer for an hour.',
  schema: { type: 'string', minLength: 8, maxLength: 100 },
};

/** The API as OpenAPI 3.1, made from what the routes themselves check: their schemas, their policy, their refusals. */
export function openApiDocument(routes: readonly Route[], serverUrl: string): Json {
  const schemas: Json = { Problem: problemSchema() };
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = route.path.replace(/:([A-Za-z]+)/g, '{$1}');
    (paths[path] ??= {})[route.method.toLowerCase()] = operation(route, schemas);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Countersign',
      version: '1',
      description:
        'Face step-up authentication. Times are RFC 3339, in answers in UTC. Errors are RFC 9457 with a stable code. ' +
        'Every GET answers HEAD, too; where a GET changes or records something, HEAD does neither.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: serverUrl }],
    paths: sorted(paths),
    components: {
      schemas: sorted(schemas),
      securitySchemes: {
        service: { type: 'http', scheme: 'basic', description: 'A service credential: client id and secret.' },
        session: {
          type: 'http',
          scheme: 'bearer',
          description: 'The token of a session, from login or a raised level.',
        },
      },
    },
  };
}

function operation(route: Route, schemas: Json): Json {
  const { accepts, answers, access } = route;
  const tag = route.controller.replace(/Controller$/, '');
  return {
    operationId: `${tag[0]?.toLowerCase()}${tag.slice(1)}${route.handler[0]?.toUpperCase()}${route.handler.slice(1)}`,
    summary: answers.summary,
    tags: [tag],
    security: { anyone: [], session: [{ session: [] }], service: [{ service: [] }] }[access.who],
    ...accessNote(access),
    ...optional('parameters', [
      ...parameters('path', accepts.params, schemas),
      ...parameters('query', accepts.query, schemas),
      ...(answers.idempotent ? [IDEMPOTENCY_KEY] : []),
    ]),
    ...requestBody(route, schemas),
    responses: { [route.status]: success(route, schemas), ...refusals(errorsOf(route)) },
  };
}

/** What a tool cannot read off a security scheme: the level and the role. */
function accessNote(access: Access): Json {
  if (access.who === 'service') return { description: `Needs the scope ${access.scope}.`, 'x-scope': access.scope };
  if (access.who === 'anyone') return {};
  const level = {
    pwd: 'any session',
    manage: 'a session at pwd+recovery or pwd+face; at pwd while the account never had a face',
    raised: 'a session at pwd+recovery or pwd+face',
    reads: 'a session at pwd+recovery or pwd+face (at pwd where STAFF_READS=pwd)',
  }[access.level];
  const roles = access.roles.length > 0 ? ` Roles: ${access.roles.join(' or ')}.` : '';
  const others = access.others ? ' Not about oneself.' : '';
  const recent = access.recent ? `, with a password or a face of the last ${RECENT_SECONDS} seconds` : '';
  return {
    description: `Needs ${level}${recent}.${roles}${others}`,
    'x-level': access.level,
    'x-roles': access.roles,
    ...(access.recent ? { 'x-max-age': RECENT_SECONDS } : {}),
  };
}

function parameters(place: 'path' | 'query', schema: z.ZodType | undefined, schemas: Json): Json[] {
  if (!schema) return [];
  const { properties = {}, required = [] } = jsonSchema(schema, 'input', schemas) as {
    properties?: Json;
    required?: string[];
  };
  return Object.entries(properties).map(([name, one]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: one,
  }));
}

function requestBody({ accepts }: Route, schemas: Json): Json {
  if (accepts.bytes) {
    const frames = { schema: { type: 'string', format: 'binary', description: FRAMES } };
    return { requestBody: { required: true, content: { 'application/octet-stream': frames } } };
  }
  if (!accepts.body) return {};
  const content = { [JSON_MEDIA]: { schema: jsonSchema(accepts.body, 'input', schemas) } };
  return { requestBody: { required: !accepts.body.safeParse(undefined).success, content } };
}

function success({ answers, status }: Route, schemas: Json): Json {
  const { schema, media = JSON_MEDIA } = answers;
  if (!schema && answers.media)
    return { description: answers.summary, content: { [answers.media]: { schema: { type: 'string' } } } };
  if (!schema) return { description: status === 204 ? 'Done' : answers.summary };
  return { description: answers.summary, content: { [media]: { schema: jsonSchema(schema, 'output', schemas) } } };
}

/** What the route declares, and what its policy and its input imply. */
export function errorsOf({ access, accepts, answers }: Pick<Route, 'access' | 'accepts' | 'answers'>): ErrorCode[] {
  const implied: ErrorCode[] = ['invalid_request', 'unavailable', 'internal'];
  if (accepts.body || accepts.bytes) implied.push('unsupported_media_type', 'payload_too_large');
  if (accepts.params) implied.push('not_found');
  if (answers.idempotent) implied.push('idempotency_conflict');
  if (access.who === 'service') implied.push('forbidden');
  if (access.who === 'session') {
    implied.push('unauthenticated');
    if (access.level === 'manage') implied.push('account_inactive');
    if (access.level !== 'pwd' || access.recent) implied.push('step_up_required');
    if (access.roles.length > 0) implied.push('forbidden');
  }
  return [...new Set([...implied, ...(answers.errors ?? [])])];
}

function refusals(codes: readonly ErrorCode[]): Json {
  const byStatus: Record<number, ErrorCode[]> = {};
  for (const code of codes) (byStatus[errorRow(code).status] ??= []).push(code);
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, some]) => {
      const schema = {
        allOf: [{ $ref: '#/components/schemas/Problem' }, { properties: { code: { enum: [...some].sort() } } }],
      };
      const waits = some.some((code) => errorRow(code).retryAfterSeconds !== undefined || code === 'face_locked');
      const headers = waits ? { headers: { 'Retry-After': { schema: { type: 'integer' } } } } : {};
      const description = some.map((code) => errorRow(code).title).join('; ');
      return [status, { description, ...headers, content: { [PROBLEM_MEDIA]: { schema } } }];
    }),
  );
}

const problemSchema = (): Json => ({
  type: 'object',
  description: 'RFC 9457, with members of its own where a refusal has numbers to tell.',
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string' },
  },
  required: ['type', 'title', 'status', 'code'],
});

/** Schemas with an id of their own become components; the rest stays where it is. */
function jsonSchema(schema: z.ZodType, io: 'input' | 'output', schemas: Json): Json {
  const made = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Json;
  const {
    $schema: _dialect,
    $defs,
    ...rest
  } = JSON.parse(JSON.stringify(made).replaceAll('"#/$defs/', '"#/components/schemas/')) as Json;
  Object.assign(schemas, $defs);
  return rest;
}

const optional = (name: string, list: readonly unknown[]): Json => (list.length > 0 ? { [name]: list } : {});
const sorted = <T>(from: Record<string, T>): Record<string, T> =>
  Object.fromEntries(Object.entries(from).sort(([a], [b]) => (a < b ? -1 : 1)));
