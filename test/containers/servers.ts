import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { cacheFolder, type PackageSet, repositoryRoot, unpackedPackages } from '#stack';
import { DOCUMENTDB_PACKAGES } from '../../tools/stack/src/documentdb/packages.js';
import { findSource } from '../../tools/stack/src/debian/source.js';
import { type ContainerHost } from './host.js';
import { certificates, fromTree, nodeFrom, npm } from './trees.js';

/** Packages of the npm registry that the stand-ins' own programs need. */
const OF_MONGOD = ['bson', 'pg'];
const OF_MAIL = ['mailparser', 'smtp-server'];
const MONGOSH = 'mongosh@2';
const SHELL = ['bash', 'dash', 'coreutils', 'base-files'];

const compiled = (folder: string): string => path.join(repositoryRoot(), 'dist', folder);

/** What was made by other programs than these has another tag. */
function recipe(): string {
  const hash = createHash('sha256').update(fs.readFileSync(__filename));
  for (const folder of ['test/containers', 'tools/stack/src'])
    for (const name of fs.readdirSync(compiled(folder), { recursive: true, encoding: 'utf8' }).sort())
      if (name.endsWith('.js') && !name.endsWith('.spec.js')) hash.update(name).update(fs.readFileSync(path.join(compiled(folder), name))); // prettier-ignore
  return hash.digest('hex').slice(0, 12);
}

/** The variables of docker-compose.yml that name images of others, with what stands in for each. */
export type ServerImages = Record<'NGINX_IMAGE' | 'REDIS_IMAGE' | 'MONGODB_IMAGE' | 'MAIL_IMAGE', string>;

/**
 * Stand-ins for the servers' own images, where no registry of images can be reached: Debian's nginx and Redis; DocumentDB
 * with users, TLS and a replica set before it, and MongoDB's own shell; a catcher of mails that answers as Mailpit does.
 */
export async function makeServers(host: ContainerHost): Promise<ServerImages> {
  const of = (name: string): string => `localhost/stand-in/${name}:${recipe()}`;
  const images = { NGINX_IMAGE: of('nginx'), REDIS_IMAGE: of('redis'), MONGODB_IMAGE: of('mongo'), MAIL_IMAGE: of('mail') }; // prettier-ignore
  const lacks = async (tag: string): Promise<boolean> => (await host.run('podman', ['image', 'exists', tag])).status !== 0; // prettier-ignore
  const o = { env: process.env, cache: cacheFolder, log: (line: string) => console.error(line) };
  const unpacked = (name: string, packages: string[]) => unpackedPackages({ name: `image-${name}`, title: `image ${name}`, packages } satisfies PackageSet, o); // prettier-ignore

  if (await lacks(images.REDIS_IMAGE)) {
    const { root } = await unpacked('redis', ['redis-server', 'redis-tools', ...SHELL]);
    await fromTree(host, root, 'redis', images.REDIS_IMAGE, (tree) => {
      users(tree, 'redis:x:999:999:redis:/data:/bin/sh');
      for (const name of ['redis-server', 'redis-cli'])
        if (!fs.existsSync(path.join(tree, 'usr/bin', name))) fs.symlinkSync('redis-check-rdb', path.join(tree, 'usr/bin', name)); // prettier-ignore
      folder(tree, 'data', 999);
    }, ['VOLUME /data']); // prettier-ignore
  }
  if (await lacks(images.NGINX_IMAGE)) {
    const { root } = await unpacked('nginx', ['nginx', 'dnsmasq-base', ...SHELL]);
    await fromTree(host, root, 'nginx', images.NGINX_IMAGE, (tree) => {
      users(tree, 'nginx:x:101:101:nginx:/nonexistent:/bin/false');
      folder(tree, 'tmp', 0, 0o1777);
      // Docker's engine answers names at this address; podman's does so at another, which the container is told.
      const script = "#!/bin/bash\n/usr/sbin/dnsmasq --no-daemon --user= --group= --no-hosts --cache-size=0 --bind-interfaces --listen-address=127.0.0.11 --pid-file= &\nuntil (exec 3<>/dev/tcp/127.0.0.11/53) 2>/dev/null; do sleep 0.1; done\nexec /usr/sbin/nginx -g 'daemon off;' -e stderr\n"; // prettier-ignore
      fs.writeFileSync(path.join(tree, 'entry'), script, { mode: 0o755 });
    }, ['ENTRYPOINT ["/entry"]']); // prettier-ignore
  }
  if (await lacks(images.MONGODB_IMAGE)) {
    const source = findSource(process.env);
    if (typeof source === 'string') throw new Error(source);
    const { root } = await unpacked('mongo', [...DOCUMENTDB_PACKAGES.packages, 'libstdc++6', ...SHELL]);
    await fromTree(host, root, 'mongo', images.MONGODB_IMAGE, (tree) => {
      DOCUMENTDB_PACKAGES.finish?.(tree, '', source);
      users(tree, 'mongodb:x:999:999:mongodb:/data/db:/bin/sh');
      nodeFrom(host, path.join(tree, 'usr/local/bin/node'));
      program(host, tree, OF_MONGOD);
      script(tree, 'docker-entrypoint.sh', '#!/bin/bash\nexec node /stand-in/test/containers/stand-ins/mongod.js "$@"\n'); // prettier-ignore
      const shell = path.join(tree, 'mongosh');
      npm(['install', '--prefix', shell, '--no-audit', '--no-fund', '--omit=dev', '--omit=optional', '--ignore-scripts', '--loglevel=error', MONGOSH]); // prettier-ignore
      script(tree, 'mongosh', '#!/bin/bash\nexec node /mongosh/node_modules/mongosh/bin/mongosh.js "$@"\n');
      for (const name of ['data/db', 'data/configdb']) folder(tree, name, 999);
      folder(tree, 'tmp', 0, 0o1777);
    }, ['VOLUME /data/db', 'VOLUME /data/configdb']); // prettier-ignore
  }
  if (await lacks(images.MAIL_IMAGE)) {
    const { root } = await unpacked('mail', ['libc6', 'libstdc++6', 'base-files']);
    await fromTree(host, root, 'mail', images.MAIL_IMAGE, (tree) => {
      certificates(tree);
      users(tree, 'mail:x:10001:10001:mail:/nonexistent:/bin/false');
      nodeFrom(host, path.join(tree, 'usr/local/bin/node'));
      program(host, tree, OF_MAIL);
      folder(tree, 'tmp', 0, 0o1777);
    }, ['ENTRYPOINT ["/usr/local/bin/node","/stand-in/test/containers/stand-ins/mail.js"]']); // prettier-ignore
  }
  return images;
}

/** Our compiled programs, in folders as here, with the packages that they need, in the versions that are installed here. */
function program(host: ContainerHost, tree: string, packages: readonly string[]): void {
  const root = path.join(tree, 'stand-in');
  for (const from of ['test/containers/stand-ins', 'tools/stack/src']) {
    fs.cpSync(compiled(from), path.join(root, from), { recursive: true });
  }
  const versions = packages.map((name) => {
    const file = path.join(repositoryRoot(), 'node_modules', name, 'package.json');
    return `${name}@${(JSON.parse(fs.readFileSync(file, 'utf8')) as { version: string }).version}`;
  });
  npm(['install', '--prefix', root, '--no-audit', '--no-fund', '--omit=dev', '--ignore-scripts', '--loglevel=error', ...versions]); // prettier-ignore
}

function users(tree: string, ...lines: string[]): void {
  fs.writeFileSync(path.join(tree, 'etc/passwd'), ['root:x:0:0:root:/root:/bin/bash', ...lines, ''].join('\n'));
  const groups = lines.map((line) => line.split(':')).map(([name, , , gid]) => `${name}:x:${gid}:`);
  fs.writeFileSync(path.join(tree, 'etc/group'), ['root:x:0:', ...groups, ''].join('\n'));
}

function script(tree: string, name: string, text: string): void {
  fs.writeFileSync(path.join(tree, 'usr/local/bin', name), text, { mode: 0o755 });
}

/** An image's folder that belongs to a user: fromTree keeps owners of what is here. */
function folder(tree: string, name: string, owner: number, mode = 0o755): void {
  const made = path.join(tree, name);
  fs.mkdirSync(made, { recursive: true });
  fs.chmodSync(made, mode);
  fs.chownSync(made, owner, owner);
}
