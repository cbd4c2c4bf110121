import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cacheFolder, type Lock, type PackageSet, repositoryRoot, unpackedPackages, waitForLock } from '#stack';

/** podman, buildah and runc of Debian's packages, in a root of their own: nothing of this machine is changed or needed. */
const PACKAGES: PackageSet = {
  name: 'containers',
  title: 'Containers',
  packages: ['podman', 'buildah', 'runc', 'netavark', 'aardvark-dns', 'catatonit', 'docker-compose', 'nftables', 'bash', 'coreutils', 'mount', 'tar', 'procps', 'strace'], // prettier-ignore
  finish(tree) {
    for (const folder of [
      'proc',
      'sys',
      'dev',
      'run',
      'tmp',
      'repository',
      'work',
      'old',
      'root',
      'var/lib/containers',
    ])
      fs.mkdirSync(path.join(tree, folder), { recursive: true });
    fs.writeFileSync(path.join(tree, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/bash\n');
    fs.writeFileSync(path.join(tree, 'etc/group'), 'root:x:0:\n');
  },
};

/** What podman is told. More than this process may have cannot be given; crun refuses hybrid cgroups, runc does not. */
function configure(containers: string): void {
  fs.mkdirSync(containers, { recursive: true });
  const limits = fs.readFileSync('/proc/self/limits', 'utf8');
  const limit = (of: string): string => {
    const [, hard = '65536'] = new RegExp(`^${of} +\\S+ +(\\d+)`, 'm').exec(limits) ?? [];
    return `${hard}:${hard}`;
  };
  // As with Docker's engine, low ports are anybody's in a container.
  const sysctls = '"net.ipv4.ping_group_range=0 0", "net.ipv4.ip_unprivileged_port_start=0"';
  const files = {
    'containers.conf': `[containers]\ndefault_ulimits = ["nofile=${limit('Max open files')}", "nproc=${limit('Max processes')}"]\ndefault_sysctls = [${sysctls}]\n[engine]\nruntime = "runc"\nhealthcheck_events = false\n`,
    'storage.conf': '[storage]\ndriver = "overlay"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n', // prettier-ignore
    'policy.json': '{"default":[{"type":"insecureAcceptAnything"}]}\n',
    'registries.conf': 'unqualified-search-registries = []\n',
  };
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(containers, name), text);
}

const INSIDE = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LC_ALL: 'C.UTF-8', PODMAN_IGNORE_CGROUPSV1_WARNING: '1' }; // prettier-ignore

/**
 * Makes the packages the root of a new mount namespace, says so, and stays until its input is closed. What is written there
 * goes into a layer above them: they stay as they were unpacked.
 */
const ENTER = `set -e
R=$3/root
mkdir -p "$R" "$3/upper" "$3/overlay"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$3/upper,workdir=$3/overlay" "$R"
mount -t proc proc "$R/proc"; mount --rbind /sys "$R/sys"; mount --rbind /dev "$R/dev"
mount --bind "$2" "$R/repository"; mount --bind "$3" "$R/work"; mount --bind "$4" "$R/var/lib/containers"
mount -t tmpfs tmpfs "$R/run"; mkdir "$R/run/lock"; mount -t tmpfs tmpfs "$R/tmp"
cat /etc/resolv.conf > "$R/etc/resolv.conf"; cat /etc/hosts > "$R/etc/hosts"
cd "$R"; pivot_root . old; cd /; umount -l /old
echo entered
exec /usr/bin/cat`;

export interface Ran {
  status: number | null;
  stdout: string;
  stderr: string;
}

/**
 * An engine for containers: the packages' own, in a mount namespace of its own. /repository is this repository, /work a
 * folder of the caller's. Needs root, as the namespace and its containers do.
 */
export class ContainerHost {
  private constructor(
    private readonly anchor: ChildProcess,
    /** Outside; `/work` inside. */
    readonly work: string,
    private readonly lock: Lock,
  ) {}

  static async start(work: string): Promise<ContainerHost> {
    if (process.getuid?.() !== 0) throw new Error('containers need root here: run this as root');
    const log = (line: string): void => console.error(line);
    const tree = await unpackedPackages(PACKAGES, { env: process.env, cache: cacheFolder, log });
    const storage = path.join(cacheFolder(), 'containers');
    fs.mkdirSync(storage, { recursive: true });
    // Images are kept there, and networks are the machine's: two runs at once would end each other's containers.
    const lock = await waitForLock(path.join(cacheFolder(), 'containers.lock'), () => log('another run has the containers: waiting for its end')); // prettier-ignore
    configure(path.join(work, 'upper/etc/containers'));
    const args = ['-m', '--propagation', 'private', 'bash', '-c', ENTER, 'enter', tree.root, repositoryRoot(), work, storage]; // prettier-ignore
    const anchor = spawn('unshare', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    await new Promise<void>((resolve, reject) => {
      anchor.once('error', reject);
      anchor.once('close', (code) => reject(new Error(`no mount namespace for containers (unshare: exit ${code})`)));
      anchor.stdout.once('data', () => resolve());
    });
    anchor.removeAllListeners('close');
    const host = new ContainerHost(anchor, work, lock);
    // Of a run that was killed.
    await host.empty();
    return host;
  }

  /** The command line that runs a program in there. */
  command(program: string, args: readonly string[]): [string, string[]] {
    const env = Object.entries(INSIDE).map(([name, value]) => `${name}=${value}`);
    return ['nsenter', ['-t', String(this.anchor.pid), '-m', '-r', '-w', 'env', '-i', ...env, program, ...args]];
  }

  /** Runs a program in there to its end. */
  run(program: string, args: readonly string[], o: { input?: string; timeoutMs?: number } = {}): Promise<Ran> {
    const [command, all] = this.command(program, args);
    const child = spawn(command, all, { stdio: ['pipe', 'pipe', 'pipe'], timeout: o.timeoutMs ?? 0 });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.on('error', () => undefined).end(o.input ?? '');
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status) => resolve({ status, stdout, stderr }));
    });
  }

  /** As `run`, for what must succeed: what it wrote, trimmed. */
  async must(
    program: string,
    args: readonly string[],
    o: { input?: string; timeoutMs?: number } = {},
  ): Promise<string> {
    const { status, stdout, stderr } = await this.run(program, args, o);
    if (status !== 0) throw new Error(`${program} ${args.slice(0, 3).join(' ')}: exit ${status}\n${stdout.trim().slice(-1500)}\n${stderr.trim().slice(-1500)}`); // prettier-ignore
    return stdout.trim();
  }

  podman(...args: string[]): Promise<string> {
    return this.must('podman', args);
  }

  private async empty(): Promise<void> {
    await this.run('podman', ['rm', '--all', '--force', '--time', '2', '--volumes']);
    await this.run('podman', ['volume', 'rm', '--all', '--force']);
  }

  /** Ends all containers, then the namespace. */
  async stop(): Promise<void> {
    await this.empty();
    this.anchor.stdin?.end();
    for (let i = 0; i < 50 && this.anchor.exitCode === null; i++) await sleep(100);
    this.anchor.kill('SIGKILL');
    await this.lock.release();
  }
}
