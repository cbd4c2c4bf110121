import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './source-files.js';

const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
const documents = ['README.md', 'CONTRIBUTING.md', ...readdirSync(path.join(ROOT, 'docs')).filter((f) => f.endsWith('.md')).map((f) => `docs/${f}`)]; // prettier-ignore

describe('README', () => {
  it('is read in one go: 120 lines and 20 of running it, and every other matter has a document that docs/README.md names', () => {
    const [running = ''] = /^## Running it\n[^]*?(?=^## )/m.exec(readme) ?? [];
    const lines = (text: string): number => text.trimEnd().split('\n').length;
    expect(lines(running)).toBeLessThanOrEqual(20);
    expect(lines(readme.replace(running, ''))).toBeLessThanOrEqual(120);
    const index = readFileSync(path.join(ROOT, 'docs/README.md'), 'utf8');
    const ofDocs = documents.filter((file) => file.startsWith('docs/') && file !== 'docs/README.md');
    expect(ofDocs.filter((file) => !index.includes(`(${path.basename(file)})`))).toEqual([]);
  });

  it.each(documents)('%s links to files that exist', (file) => {
    const text = readFileSync(path.join(ROOT, file), 'utf8');
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, link]) => link ?? '');
    expect(links.filter((link) => !existsSync(path.join(ROOT, path.dirname(file), link)))).toEqual([]);
  });

  it('names only npm scripts that exist', () => {
    const { scripts } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const named = [...readme.matchAll(/npm run (?:-s )?([\w:]*\w)/g)].map(([, name]) => name ?? '');
    expect(named.length).toBeGreaterThan(2);
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });

  it('case 1: says that the telemetry of the runtime is off', () => {
    expect(readme).toMatch(/telemetry of onnxruntime is off in every process/);
  });

  it.each(['README.md', 'docs/attacks.md'])(
    'core 1: %s says that one photo is enough for whoever injects frames',
    (file) => {
      const text = readFileSync(path.join(ROOT, file), 'utf8').replace(/\s+/g, ' ');
      expect(text).toContain('**One photo is enough for whoever holds the password and can inject frames');
    },
  );
});

describe('docs/proxies.md', () => {
  const proxies = readFileSync(path.join(ROOT, 'docs/proxies.md'), 'utf8').replace(/\s+/g, ' ');

  it.each(['nginx', 'Envoy', 'Traefik', 'AWS Application Load Balancer'])(
    '13.3: %s has what the four demands need',
    (name) => {
      const section = proxies.split(' ## ').find((text) => text.startsWith(name)) ?? '';
      expect(section).toMatch(/client_max_body_size|not limited/);
      expect(section).toMatch(/request_buffering off|streamed|nor held back/);
      expect(section).toMatch(/X-Forwarded-For|use_remote_address|xff_header/);
      expect(section).toMatch(/60 ?s/);
    },
  );
});
