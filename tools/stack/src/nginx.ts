import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { findProgram, type Program } from './debian-program.js';
import { cacheFolder, temporaryFolder } from './folders.js';
import { anyFreePort } from './ports.js';
import { ManagedProcess } from './process.js';
import { type Log } from './shell.js';

export interface Nginx {
  url: string;
  stop(): Promise<void>;
}

/** @throws Error where neither the machine nor Debian's packages have it. */
export const findNginx = (env: NodeJS.ProcessEnv, log: Log): Promise<Program> =>
  findProgram({ name: 'nginx', title: 'nginx', packages: ['nginx'] }, 'usr/sbin/nginx', {
    env,
    cache: () => cacheFolder(env),
    log,
  });

/** A private nginx before a server, with nothing set but what `settings` (of its `location /`) says. */
export async function startNginx(
  nginx: Program,
  o: { upstream: string; settings?: readonly string[] },
): Promise<Nginx> {
  const dir = temporaryFolder('nginx');
  const port = await anyFreePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${dir}/${of};`);
  fs.writeFileSync(
    path.join(dir, 'nginx.conf'),
    `daemon off; master_process off; pid ${dir}/pid; error_log stderr; events {}
http {
  access_log off; ${temporary.join(' ')}
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass ${o.upstream}; ${(o.settings ?? []).map((line) => `${line};`).join(' ')} }
  }
}
`,
  );
  const [program, args] = nginx.command(['-p', dir, '-c', path.join(dir, 'nginx.conf'), '-e', 'stderr']);
  const server = new ManagedProcess({ name: 'nginx', command: program, args, env: { LC_ALL: 'C' } });
  await server.start();
  await server.waitUntil(() => isOpen(port), 30_000);
  const stop = async (): Promise<void> => {
    await server.stop('SIGKILL');
    fs.rmSync(dir, { recursive: true, force: true });
  };
  return { url: `http://127.0.0.1:${port}`, stop };
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    const end = (open: boolean): void => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}
