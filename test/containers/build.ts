import { STAND_INS } from './bases.js';
import { type ContainerHost } from './host.js';

export const TARGETS = ['gateway', 'inference', 'audit', 'cli', 'tests'] as const;
export type Target = (typeof TARGETS)[number];

/** The names that docker-compose.yml gives our images, with this for REGISTRY and the engine's word for a newest VERSION. */
export const REGISTRY = 'localhost/countersign-test';
export const tagOf = (target: Target): string => `${REGISTRY}/${target}`;

/** A target of this repository's Dockerfile, on stand-ins of its bases (`makeBases`). */
export async function build(host: ContainerHost, target: Target): Promise<void> {
  const from = performance.now();
  const seconds = (): number => Math.round((performance.now() - from) / 100) / 10;
  const beat = setInterval(() => console.error(`build ${target} … ${seconds()} s`), 15_000);
  const bases = Object.entries(STAND_INS).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]);
  const facts = ['VERSION=0.0.0-test', 'REVISION=test', 'SOURCE=https://example.org/countersign'].flatMap((fact) => ['--build-arg', fact]); // prettier-ignore
  // HEALTHCHECK is not in the OCI's own format.
  const args = ['build', '--format', 'docker', '--isolation', 'chroot', '--pull=never', ...bases, ...facts, '--target', target, '--tag', tagOf(target), '/repository']; // prettier-ignore
  await host.must('podman', args).finally(() => clearInterval(beat));
  console.error(`build ${target}: ${seconds()} s`);
}
