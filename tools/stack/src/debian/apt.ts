import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { type Log, run } from '../shell.js';
import { type PackageSource } from './source.js';

export interface Deb {
  file: string;
  bytes: number;
}

/** A private apt with its own state: it believes that nothing is installed, so that it resolves the full closure. */
export class Apt {
  readonly debs: string;
  private readonly base: string;
  private readonly env: NodeJS.ProcessEnv;

  constructor(
    folder: string,
    private readonly source: PackageSource,
    env: NodeJS.ProcessEnv,
  ) {
    this.base = path.join(folder, 'apt');
    this.debs = path.join(folder, 'debs');
    this.env = { ...env, APT_CONFIG: path.join(this.base, 'apt.conf'), LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
    this.configure(env);
  }

  async update(): Promise<void> {
    const { status, output } = await run('apt-get', ['update', '-q', '--error-on=any'], { env: this.env });
    if (status !== 0) throw new Error(updateProblem(this.source, output));
  }

  /** What the packages need, themselves included. Asked with an empty archive folder: apt leaves out what it has. */
  async closure(packages: string[]): Promise<Deb[]> {
    const none = path.join(this.base, 'none');
    fs.mkdirSync(path.join(none, 'partial'), { recursive: true });
    const { status, output, stdout } = await this.install(
      ['--print-uris', '-o', `Dir::Cache::archives=${none}`],
      packages,
    );
    if (status !== 0)
      throw new Error(`apt cannot resolve ${packages.join(' ')} in ${this.source.suite}\n${tail(output)}`);
    const debs = [...stdout.matchAll(/^'[^']+' (\S+\.deb) (\d+)/gm)].map(([, file, bytes]) => ({
      file: String(file),
      bytes: Number(bytes),
    }));
    if (!debs.length) throw new Error(`apt names no files for ${packages.join(' ')}\n${tail(output)}`);
    return debs;
  }

  /** Downloads what is missing of `debs`. An interrupted download goes on where it stopped. */
  async download(packages: string[], debs: Deb[], log: Log, name: string): Promise<void> {
    const wanted = debs.reduce((sum, deb) => sum + deb.bytes, 0);
    let told = -1;
    const timer = setInterval(() => {
      const have = this.bytesOf(debs);
      if (have !== told) log(`${name}: downloading, ${megabytes(have)} of ${megabytes(wanted)} MB`);
      told = have;
    }, 1500);
    try {
      const { status, output } = await this.install(['--download-only'], packages);
      if (status !== 0)
        throw new Error(`the download of ${packages.join(' ')} failed; run again to go on\n${tail(output)}`);
    } finally {
      clearInterval(timer);
    }
  }

  private install(options: string[], packages: string[]): ReturnType<typeof run> {
    return run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...options, ...packages], {
      env: this.env,
    });
  }

  private bytesOf(debs: Deb[]): number {
    const size = (file: string) => fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    return debs.reduce(
      (sum, { file }) => sum + (size(path.join(this.debs, file)) || size(path.join(this.debs, 'partial', file))),
      0,
    );
  }

  private configure(env: NodeJS.ProcessEnv): void {
    const { base, debs, source } = this;
    const folders = ['etc/apt.conf.d', 'etc/preferences.d', 'etc/trusted.gpg.d', 'state/lists/partial', 'cache'];
    for (const folder of folders) fs.mkdirSync(path.join(base, folder), { recursive: true });
    fs.mkdirSync(path.join(debs, 'partial'), { recursive: true });
    fs.writeFileSync(path.join(base, 'state/status'), '');
    const line = `deb [arch=${source.architecture} signed-by=${source.keyring}] ${source.mirror} ${source.suite} ${source.components}\n`;
    fs.writeFileSync(path.join(base, 'etc/sources.list'), line);
    // The machine's own proxies and time limits for downloads are the only settings taken over.
    const { stdout } = spawnSync('apt-config', ['dump'], { encoding: 'utf8', env });
    const own = (stdout ?? '').split('\n').filter((setting) => /^Acquire::https?::/i.test(setting));
    const settings = [
      `Dir "${base}";`,
      `Dir::Etc "${base}/etc";`,
      `Dir::State "${base}/state";`,
      `Dir::State::status "${base}/state/status";`,
      `Dir::Cache "${base}/cache";`,
      `Dir::Cache::archives "${debs}";`,
      `APT::Architecture "${source.architecture}";`,
      `APT::Architectures { "${source.architecture}"; };`,
      'APT::Sandbox::User "";', // apt's own user could not write here
      'APT::Keep-Downloaded-Packages "true";',
      'Acquire::Languages "none";',
      'Acquire::PDiffs "false";',
      'Acquire::Retries "3";',
      'Acquire::http::Timeout "30";',
      'Acquire::Check-Valid-Until "false";', // a mirror that lags behind; signatures are still verified
      ...own,
      '',
    ];
    fs.writeFileSync(path.join(base, 'apt.conf'), settings.join('\n'));
  }
}

/** `sha256  file` lines, as sha256sum writes them. apt has verified these files against the signed index. */
export function lockOf(folder: string, debs: Deb[]): string {
  const lines = debs.map(({ file }) => `${sha256(path.join(folder, file))}  ${file}\n`);
  return lines.sort((a, b) => a.slice(66).localeCompare(b.slice(66))).join('');
}

export function sha256(file: string): string {
  return createHash('sha256').update(fs.readFileSync(file)).digest('hex');
}

/** Says what is wrong in words of ours: apt's own lines name everything but what to do. */
export function updateProblem(source: PackageSource, output: string): string {
  const { mirror, suite, keyring, keyringPackage } = source;
  if (/Release.*(404|does not have a Release file)/s.test(output)) {
    return `the mirror ${mirror} has no suite "${suite}" (set COUNTERSIGN_DEBIAN_SUITE, for example to sid)\n${tail(output)}`;
  }
  if (/NO_PUBKEY|not signed|invalid signature|Sub-process .*(sqv|gpgv)/i.test(output)) {
    return `the suite ${suite} is not signed by a key of ${keyring} (upgrade the package ${keyringPackage})\n${tail(output)}`;
  }
  return `the package mirror ${mirror} cannot be reached (set DEBIAN_MIRROR to use another)\n${tail(output)}`;
}

const tail = (text: string): string => text.trim().slice(-800);
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);
