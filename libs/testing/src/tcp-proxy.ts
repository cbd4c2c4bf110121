import { connect, createServer, type Server, type Socket } from 'node:net';

const PORTS: Partial<Record<string, number>> = { 'redis:': 6379, 'mongodb:': 27_017, 'smtp:': 25 };

/** A TCP proxy with which a test takes a server away from somebody, or makes it slow, without touching the server. */
export class TcpProxy {
  private readonly sockets = new Set<Socket>();
  private server: Server | null = null;
  private holding = false;
  private held: (() => void)[] = [];
  /** How much later everything arrives, in each direction. */
  latencyMs = 0;
  port = 0;

  private constructor(private target: { host: string; port: number }) {}

  /** An open proxy before the server of a redis://, mongodb:// or smtp:// URL of one host. */
  static async before(url: string): Promise<TcpProxy> {
    const { hostname, port, protocol } = new URL(url);
    const proxy = new TcpProxy({ host: hostname, port: Number(port || PORTS[protocol]) });
    await proxy.open();
    return proxy;
  }

  /** The same URL, credentials and all, through this proxy; for MongoDB without the discovery that leads past it. */
  through(url: string): string {
    const proxied = new URL(url);
    proxied.host = `127.0.0.1:${this.port}`;
    if (proxied.protocol === 'mongodb:') proxied.search = '?directConnection=true';
    return proxied.href;
  }

  async open(): Promise<void> {
    const server = createServer((client) => {
      const upstream = connect(this.target.port, this.target.host);
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        const pass = this.direction();
        this.sockets.add(from);
        from
          .on('data', (bytes: Buffer) => pass(() => to.write(bytes)))
          .on('end', () => pass(() => to.end()))
          .on('error', () => to.destroy())
          .on('close', () => {
            pass(() => to.destroy());
            this.sockets.delete(from);
          });
      }
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(this.port, '127.0.0.1', resolve);
    });
    const address = server.address();
    if (address && typeof address === 'object') this.port = address.port;
    this.server = server;
  }

  /** Resets every connection and refuses new ones until `open` is called again (same port). */
  async cut(): Promise<void> {
    const server = this.server;
    this.server = null;
    for (const socket of this.sockets) socket.resetAndDestroy();
    if (server) await new Promise((resolve) => server.close(resolve));
  }

  /** From now on it leads to another port of this machine, and what led elsewhere ends. */
  lead(port: number): void {
    this.leadNew(port);
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  /** Only who connects anew is led to another port of this machine, as when a name changes: what is open stays. */
  leadNew(port: number): void {
    this.target = { host: '127.0.0.1', port };
  }

  /** Connections stay and are still made, and nothing arrives any more, in either direction: a half-open network. */
  hold(): void {
    this.holding = true;
  }

  /** What was held arrives now. */
  release(): void {
    this.holding = false;
    const held = this.held;
    this.held = [];
    for (const go of held) go();
  }

  /** One direction of one connection: whatever comes leaves in the same order, each at its time. */
  private direction(): (go: () => void) => void {
    let last: Promise<void> = Promise.resolve();
    return (go) => {
      const due = performance.now() + this.latencyMs;
      last = last.then(() => wait(due - performance.now())).then(() => (this.holding ? void this.held.push(go) : go()));
    };
  }
}

const wait = (ms: number): Promise<void> | undefined =>
  ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : undefined;
