import { randomInt } from 'node:crypto';
import net from 'node:net';

const [FIRST, FIRST_OUTGOING] = [10_000, 32_768];
const TRIES_MAX = 200;

/** Whether nobody listens on this port of the loopback interface, in either address family. */
export async function isPortFree(port: number): Promise<boolean> {
  return (await canListen(port, '127.0.0.1')) && (await canListen(port, '::1'));
}

/** `wanted` if nobody has it, else the next free one above it. */
export async function nextFreePort(wanted: number): Promise<number> {
  for (let port = wanted; port < Math.min(wanted + 200, 65_536); port++) if (await isPortFree(port)) return port;
  throw new Error(`no free port from ${wanted} on`);
}

/**
 * A port that nobody has right now. Below those that the system gives to outgoing connections (32768 and above on Linux):
 * with hundreds of them one would have taken the port before its process listens.
 */
export async function anyFreePort(): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const port = randomInt(FIRST, FIRST_OUTGOING);
    if (await isPortFree(port)) return port;
  }
  throw new Error(`no free port between ${FIRST} and ${FIRST_OUTGOING}`);
}

function canListen(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    // A machine without IPv6 cannot have anybody listening there.
    server.once('error', (error: NodeJS.ErrnoException) =>
      resolve(/EADDRNOTAVAIL|EAFNOSUPPORT/.test(error.code ?? '')),
    );
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}
