import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { z } from 'zod';
import { repositoryRoot } from '#stack';
import { bound } from './machine.js';

/** What to say when the other packages are not there: they are no dependency of this one. */
export const NOT_INSTALLED = 'not installed: npm install --prefix bench/peers';

const readySchema = z.object({
  ready: z.literal(true),
  name: z.string(),
  backend: z.string(),
  version: z.string(),
  note: z.string().default(''),
});
const passSchema = z.object({ ms: z.array(z.number()), decodeMs: z.array(z.number()), faces: z.number() });
type Ready = z.infer<typeof readySchema>;
type Pass = z.infer<typeof passSchema>;

const folder = (): string => path.join(repositoryRoot(), 'bench/peers');

/** Names of the packages that can be measured; none when they are not installed. */
export function installedPeers(): string[] {
  const file = path.join(folder(), 'package.json');
  if (!existsSync(file) || !existsSync(path.join(folder(), 'node_modules'))) return [];
  return z.object({ peers: z.array(z.string()) }).parse(JSON.parse(readFileSync(file, 'utf8'))).peers;
}

/** Another package in a process of its own: JSON lines, one pass over all frames a line we send (bench/peers/run.mjs). */
export class Peer {
  private constructor(
    private readonly child: ChildProcess,
    private readonly lines: Interface,
    private readonly errors: () => string,
  ) {}

  ready!: Ready;

  /** @param framesFile JSON array of paths of JPEG files. */
  static async start(name: string, framesFile: string, core: number | null): Promise<Peer> {
    const program = path.join(folder(), 'run.mjs');
    const [command, args] = bound(core === null ? null : [core], process.execPath, [program, name, framesFile]);
    const child = spawn(command, args, { cwd: repositoryRoot(), stdio: 'pipe' });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-2000)));
    const peer = new Peer(child, createInterface({ input: child.stdout }), () => errors);
    peer.ready = readySchema.parse(await peer.line());
    return peer;
  }

  async pass(): Promise<Pass> {
    const line = this.line();
    this.child.stdin?.write('pass\n');
    return passSchema.parse(await line);
  }

  stop(): void {
    this.child.stdin?.end();
  }

  /** The next line that is JSON of ours; libraries like to greet on stdout. */
  private line(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const read = (text: string): void => {
        if (!text.startsWith('{')) return;
        settle();
        const value = JSON.parse(text) as { error?: string };
        if (value.error === undefined) resolve(value);
        else reject(new Error(value.error));
      };
      const ended = (): void => {
        settle();
        reject(new Error(`ended: ${this.errors().trim().split('\n').at(-1) ?? ''}`));
      };
      const settle = (): void => {
        this.lines.off('line', read).off('close', ended);
      };
      this.lines.on('line', read).on('close', ended);
    });
  }
}
