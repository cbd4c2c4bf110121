import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { onPath } from '../shell.js';

/** Where packages come from, and what the architecture is called by whom. */
export interface PackageSource {
  mirror: string;
  suite: string;
  components: string;
  keyring: string;
  keyringPackage: string;
  /** Debian's name of the architecture. */
  architecture: string;
  /** The folder of libraries below usr/lib. */
  triplet: string;
  /** File name of the dynamic loader. */
  loader: string;
}

const ARCHITECTURES: Partial<Record<NodeJS.Architecture, Pick<PackageSource, 'architecture' | 'triplet' | 'loader'>>> =
  {
    x64: { architecture: 'amd64', triplet: 'x86_64-linux-gnu', loader: 'ld-linux-x86-64.so.2' },
    arm64: { architecture: 'arm64', triplet: 'aarch64-linux-gnu', loader: 'ld-linux-aarch64.so.1' },
  };

/** The first Debian suite that has DocumentDB; its Redis is the same on every host, too. */
const SUITE = 'forky';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const TOOLS = ['apt-get', 'apt-config', 'dpkg-deb', 'tar'];

/** The source to unpack packages from, or the reason why this machine has none. */
export function findSource(env: NodeJS.ProcessEnv): PackageSource | string {
  const names = ARCHITECTURES[process.arch];
  if (process.platform !== 'linux' || !names) return `no Debian packages for ${process.platform}/${process.arch}`;
  const missing = TOOLS.filter((tool) => !onPath(tool, env));
  if (missing.length) return `not a Debian or Ubuntu (no ${missing.join(', ')})`;
  if (!fs.existsSync(KEYRING)) return `${KEYRING} is missing (package debian-archive-keyring)`;
  const from = mirror(env);
  if (!from) return "apt's sources name no Debian mirror; set DEBIAN_MIRROR to one";
  const suite = env.COUNTERSIGN_DEBIAN_SUITE || SUITE;
  return {
    ...names,
    mirror: from,
    suite,
    components: 'main',
    keyring: KEYRING,
    keyringPackage: 'debian-archive-keyring',
  };
}

/** The mirror this machine uses already: the one that is reachable, and near. */
function mirror(env: NodeJS.ProcessEnv): string | undefined {
  if (env.DEBIAN_MIRROR) return env.DEBIAN_MIRROR;
  const { stdout } = spawnSync('apt-get', ['indextargets', '--no-release-info', '--format', '$(REPO_URI)'], {
    encoding: 'utf8',
    env,
  });
  return stdout?.split('\n').find((uri) => /\/debian\/?$/.test(uri));
}
