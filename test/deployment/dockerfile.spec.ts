import fs from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from '#stack';
import { WORKER_LAUNCH } from '../../tools/stack/src/worker-launch.js';

interface Stage {
  base: string;
  name: string;
  /** Instructions with their arguments, lines joined. */
  lines: string[];
}

const text = fs.readFileSync(path.join(repositoryRoot(), 'Dockerfile'), 'utf8');
const TARGETS = ['gateway', 'inference', 'audit', 'cli', 'tests'];

/** Stages of the file by name; what stands before the first is its global arguments. */
function stagesOf(): { global: string[]; stages: Map<string, Stage> } {
  const lines = text
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const global: string[] = [];
  const stages = new Map<string, Stage>();
  let at: Stage | undefined;
  for (const line of lines) {
    const [, base, name] = /^FROM (\S+) AS (\S+)$/.exec(line) ?? [];
    if (base && name) stages.set(name, (at = { base, name, lines: [] }));
    else (at?.lines ?? global).push(line);
  }
  return { global, stages };
}

const { global, stages } = stagesOf();
const stage = (name: string): Stage => {
  const found = stages.get(name);
  if (!found) throw new Error(`no target ${name}`);
  return found;
};
const own = (name: string, instruction: string): string[] =>
  stage(name)
    .lines.filter((line) => line.startsWith(`${instruction} `))
    .map((line) => line.slice(instruction.length + 1).trim());
/** A stage's and those that it stands on. */
const all = (name: string, instruction: string): string[] => {
  const { base } = stage(name);
  return [...(stages.has(base) ? all(base, instruction) : []), ...own(name, instruction)];
};
const json = (value: string | undefined): string[] => JSON.parse(value ?? 'null') as string[];

describe('Dockerfile', () => {
  it('is one that every builder takes, on bases that a site can pin', () => {
    expect(text).not.toMatch(/--mount|<<|^# *syntax=/m);
    expect(global).toEqual([
      'ARG BUILD_BASE=docker.io/library/node:24-trixie-slim',
      'ARG RUNTIME_BASE=gcr.io/distroless/cc-debian13:nonroot',
    ]);
    for (const { base } of stages.values()) expect(base === '${BUILD_BASE}' || base === '${RUNTIME_BASE}' || stages.has(base)).toBe(true); // prettier-ignore
  });

  it.each(TARGETS)('%s runs as a number, on the base without a shell, and ends by SIGTERM', (name) => {
    expect(stage(name).base).toBe('base');
    expect(stage('base').base).toBe('${RUNTIME_BASE}');
    expect(all(name, 'USER')).toEqual(['10001:10001']);
    expect(all(name, 'STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(all(name, 'RUN')).toEqual([]);
    expect(json(all(name, 'ENTRYPOINT').at(-1))[0]).toBe('/usr/local/bin/node');
    expect(all(name, 'LABEL').join(' ')).toMatch(/image\.source=.*image\.version=.*image\.revision=/);
  });

  it.each(['gateway', 'inference', 'audit'])(
    '%s is asked for its health without a shell, where others reach it',
    (name) => {
      const [, command] = /CMD (\[.*\])$/.exec(own(name, 'HEALTHCHECK')[0] ?? '') ?? [];
      expect(json(command).slice(0, 2)).toEqual(['/usr/local/bin/node', '-e']);
      expect(json(command)[2]).toContain('/health/ready');
      expect(all(name, 'ENV').join(' ')).toContain(name === 'gateway' ? 'GATEWAY_HOST=0.0.0.0' : 'HEALTH_HOST=0.0.0.0');
      expect(all(name, 'ENV').join(' ')).toContain('ORT_DISABLE_TELEMETRY=1');
    },
  );

  it('a worker is launched as npm start launches it', () => {
    const [, ...args] = json(own('inference', 'ENTRYPOINT')[0]);
    expect(args).toEqual([...WORKER_LAUNCH.args, 'dist/apps/inference/src/main.js']);
    const given = all('inference', 'ENV').join(' ');
    for (const [name, value] of Object.entries(WORKER_LAUNCH.env)) expect(given).toContain(`${name}=${value}`);
  });

  it.each(TARGETS)('%s has no code of another, nor dependencies of the build', (name) => {
    const copied = all(name, 'COPY').join('\n');
    const apps = [...copied.matchAll(/dist\/apps\/(\w+) /g)].map(([, app]) => app);
    expect(apps).toEqual(name === 'tests' ? [] : [name]);
    expect(copied).not.toMatch(/--from=build \/app\/node_modules/);
    expect(copied.includes('--from=dependencies /app/node_modules')).toBe(name === 'inference' || name === 'tests');
    expect(/dist\/libs dist\/libs/.test(copied)).toBe(true);
    expect(copied.includes('--from=build /app/dist/libs')).toBe(name === 'tests');
  });

  it('what is not copied is not sent to the builder: nothing that could be a secret', () => {
    const ignored = fs.readFileSync(path.join(repositoryRoot(), '.dockerignore'), 'utf8').split('\n');
    expect(ignored.filter((line) => line !== '' && !line.startsWith('#'))[0]).toBe('*');
    const sent = ignored.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
    for (const name of sent) expect(fs.existsSync(path.join(repositoryRoot(), name))).toBe(true);
    expect(sent).not.toEqual(expect.arrayContaining([expect.stringMatching(/secret|\.env|\.git/)]));
    const sources = [...text.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names]) => (names ?? '').split(' '));
    for (const source of sources) expect(sent.some((name) => name === source || name.startsWith(`${source}/`) || source.startsWith(`${name}/`))).toBe(true); // prettier-ignore
  });
});
