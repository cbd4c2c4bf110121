import net from 'node:net';

/** Whether nobody listens on this port of the loopback interface, in either address family. */
export async function isPortFree(port: number): Promise<boolean> {
  return (await canListen(port, '127.0.0.1')) && (await canListen(port, '::1'));
}

/** `wanted` if nobody has it, else the next free one above it. */
export async function nextFreePort(wanted: number): Promise<number> {
  for (let port = wanted; port < Math.min(wanted + 200, 65_536); port++) if (await isPortFree(port)) return port;
  throw new Error(`no free port from ${wanted} on`);
}

/** A port the operating system considers free right now. */
export function anyFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject).listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
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
