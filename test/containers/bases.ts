import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { cacheFolder, type PackageSet, unpackedPackages } from '#stack';
import { type ContainerHost } from './host.js';
import { BUNDLE, certificates, fromRegistry, fromTree, nodeFrom, npm } from './trees.js';

const NPM = 'npm@11';
/** The suite that the real bases are made of. */
const SUITE = 'trixie';

/** What was made by another recipe than this file's has another tag. */
const RECIPE = createHash('sha256').update(fs.readFileSync(__filename)).digest('hex').slice(0, 12);
export const STAND_INS = {
  BUILD_BASE: `localhost/stand-in/node:${RECIPE}`,
  RUNTIME_BASE: `localhost/stand-in/cc:${RECIPE}`,
};

/**
 * Stand-ins for the bases that the Dockerfile names, where no registry of images can be reached: the same Debian's
 * packages, Node and npm of the npm registry. The build's one also knows this machine's certificates and npm settings.
 */
export async function makeBases(host: ContainerHost): Promise<void> {
  if ((await host.run('podman', ['image', 'exists', STAND_INS.BUILD_BASE])).status === 0) return;
  const set = (name: string, packages: string[]): PackageSet => ({ name: `base-${name}`, title: `base ${name}`, packages }); // prettier-ignore
  const o = { env: { ...process.env, COUNTERSIGN_DEBIAN_SUITE: SUITE }, cache: cacheFolder, log: (line: string) => console.error(line) }; // prettier-ignore
  const build = await unpackedPackages(set('build', ['bash', 'dash', 'coreutils', 'findutils', 'grep', 'sed', 'tar', 'gzip', 'libstdc++6', 'base-files']), o); // prettier-ignore
  const runtime = await unpackedPackages(set('runtime', ['libc6', 'libstdc++6', 'base-files', 'tzdata']), o);
  await fromTree(host, runtime.root, 'runtime', STAND_INS.RUNTIME_BASE, (tree) => {
    // As distroless has it: users and certificates, and nothing that is run.
    certificates(tree);
    fs.writeFileSync(path.join(tree, 'etc/passwd'), 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n'); // prettier-ignore
    fs.writeFileSync(path.join(tree, 'etc/group'), 'root:x:0:\nnonroot:x:65532:\n');
    for (const folder of ['usr/bin', 'usr/sbin', 'usr/share/debconf', 'usr/share/perl5'])
      fs.rmSync(path.join(tree, folder), { recursive: true, force: true });
  });
  await fromTree(host, build.root, 'build', STAND_INS.BUILD_BASE, (tree) => {
    certificates(tree);
    fs.writeFileSync(path.join(tree, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
    const local = path.join(tree, 'usr/local');
    fs.mkdirSync(path.join(local, 'bin'), { recursive: true });
    nodeFrom(host, path.join(local, 'bin/node'));
    fromRegistry(NPM, path.join(local, 'lib/npm'));
    fs.symlinkSync('../lib/npm/package/bin/npm-cli.js', path.join(local, 'bin/npm'));
    fs.chmodSync(path.join(local, 'lib/npm/package/bin/npm-cli.js'), 0o755);
    fs.mkdirSync(path.join(tree, 'root'), { recursive: true });
    const settings = ['registry', 'proxy', 'https-proxy'].map((name) => [name, npm(['config', 'get', name]).trim()] as const); // prettier-ignore
    const told = settings.filter(([, value]) => value !== 'null' && value !== 'undefined');
    fs.writeFileSync(path.join(tree, 'root/.npmrc'), [...told, ['cafile', BUNDLE] as const].map(([name, value]) => `${name}=${value}\n`).join('')); // prettier-ignore
  });
}
