import { connect } from 'node:net';
import { POLICY } from '../../apps/gateway/src/http/policy.js';
import { GatewayWorld, PASSWORD } from './gateway-world.js';

jest.setTimeout(60_000);

interface Operation {
  operationId: string;
  security: unknown[];
  parameters?: { in: string; name: string }[];
  requestBody?: { content: Record<string, unknown> };
  responses: Record<string, { content?: Record<string, { schema: unknown }> }>;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown>; securitySchemes: Record<string, unknown> };
}

const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': expect.stringContaining("default-src 'none'") as string,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

describe('the description of the API', () => {
  let world: GatewayWorld;
  let document: Document;
  beforeAll(async () => {
    world = await GatewayWorld.start({ PUBLIC_URL: 'https://id.example.org' });
    document = (await world.client().get('/docs-json')).body as unknown as Document;
  });
  afterAll(() => world?.stop());

  const documented = (): string[] =>
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
    );

  /** As Fastify's own router has them, by no way of ours. */
  const routed = (): string[] => {
    const fastify = world.app.getHttpAdapter().getInstance();
    const stack: string[] = [];
    return fastify
      .printRoutes({ commonPrefix: false })
      .split('\n')
      .flatMap((line) => {
        const found = /^([│├└─\s]*)(\S*) ?(?:\(([A-Z, ]+)\))?/.exec(line);
        if (!found || line.trim() === '') return [];
        const depth = Math.floor((found[1] ?? '').length / 4);
        stack.length = depth;
        stack[depth] = found[2] ?? '';
        const path = stack
          .slice(0, depth + 1)
          .join('')
          .replace(/\/\//g, '/');
        const methods = (found[3] ?? '').split(', ').filter(Boolean);
        // HEAD stands in neither the description nor the policy: it is wherever GET is, and nowhere else.
        if (methods.includes('GET') !== methods.includes('HEAD')) return [`HEAD without GET, or the reverse: ${path}`];
        return methods.filter((method) => method !== 'HEAD').map((method) => `${method} ${path}`);
      });
  };

  it('names every route there is and no other, and the policy has a line for each', () => {
    expect(routed().length).toBeGreaterThan(25);
    expect(documented().sort()).toEqual(routed().sort());
    expect(Object.keys(POLICY).sort()).toEqual(routed().sort());
  });

  it('says of each what it takes, gives and refuses, under a name of its own', () => {
    expect(document.openapi).toBe('3.1.0');
    const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    for (const { responses } of operations) {
      expect(Object.keys(responses).some((status) => status.startsWith('2'))).toBe(true);
      for (const [status, { content }] of Object.entries(responses)) {
        if (Number(status) >= 400) expect(Object.keys(content ?? {})).toEqual(['application/problem+json']);
      }
    }
    const step = document.paths['/v1/face/attempts/{id}/steps/{n}']?.post;
    expect(Object.keys(step?.requestBody?.content ?? {})).toEqual(['application/octet-stream']);
    expect(JSON.stringify(step?.responses['409'])).toContain('frames_reused');
    expect(document.paths['/v1/auth/login']?.post?.security).toEqual([]);
    expect(document.paths['/v1/face/attempts']?.post?.security).toEqual([{ session: [] }]);
    expect(document.paths['/v1/sessions/introspect']?.post?.security).toEqual([{ service: [] }]);
  });

  it('has no reference that leads nowhere', () => {
    const names = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map(
      ([, n]) => n,
    );
    expect(names.length).toBeGreaterThan(10);
    expect(names.filter((name) => !(String(name) in document.components.schemas))).toEqual([]);
    expect(JSON.stringify(document)).not.toContain('$defs');
  });

  it('is also a page that runs nothing and fetches nothing', async () => {
    const page = await world.client().get('/docs');
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const csp = page.headers.get('content-security-policy') ?? '';
    expect(csp).toContain("default-src 'none'");
    expect(csp).not.toContain('unsafe');
    expect(page.text).not.toMatch(/<script|<link|<img|https?:\/\/|javascript:/);
    for (const path of Object.keys(document.paths)) expect(page.text).toContain(path);
  });

  it('is what the routes keep to: a path refuses every method that is not described, and says which it takes', async () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      const url = world.url + path.replace(/\{\w+\}/g, '1');
      for (const method of ['GET', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD']) {
        if (method.toLowerCase() in methods || (method === 'HEAD' && 'get' in methods)) continue;
        const answer = await fetch(url, { method });
        expect({ path, method, status: answer.status }).toEqual({ path, method, status: 405 });
        const allowed = Object.keys(methods).flatMap((name) =>
          name === 'get' ? ['GET', 'HEAD'] : [name.toUpperCase()],
        );
        expect((answer.headers.get('allow') ?? '').split(', ').sort()).toEqual(allowed.sort());
      }
    }
    expect((await fetch(`${world.url}/v1/nothing`, { method: 'PATCH' })).status).toBe(404);
    for (const method of ['TRACE', 'CONNECT', 'PROPFIND']) {
      expect(await rawRequest(world.url, method)).not.toMatch(/^HTTP\/1\.1 [23]/);
    }
  });

  it('is sent with the security headers, like every other answer', async () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const method of Object.keys(methods)) {
        const { headers } = await fetch(world.url + path.replace(/\{\w+\}/g, '1'), { method: method.toUpperCase() });
        expect({ path, method, ...Object.fromEntries(headers) }).toMatchObject(SECURITY_HEADERS);
        expect(headers.get('strict-transport-security')).toContain('max-age=');
        expect(headers.get('x-powered-by') ?? headers.get('server')).toBeNull();
      }
    }
  });

  it('lets out no field that it does not name', async () => {
    const answer = await world.client().post('/v1/auth/login', { email: 'nobody@example.org', password: PASSWORD });
    expect(Object.keys(answer.body).sort()).toEqual(['code', 'status', 'title', 'type']);
    const { client } = await world.account();
    const session = (await client.get('/v1/auth/session')).body;
    const schema = document.components.schemas.Session as { properties: object };
    expect(Object.keys(session).filter((name) => !(name in schema.properties))).toEqual([]);
  });
});

function rawRequest(url: string, method: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => {
      socket.end(`${method} /v1/auth/session HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    });
    let text = '';
    socket.on('data', (data) => (text += data.toString()));
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
}
