import { createServer, connect, type Server, type Socket } from 'node:net';
import path from 'node:path';
import readline from 'node:readline';

/** A place that a process of ours has reached, and waits at until the harness lets it go on, or kills it. */
export interface Point {
  /** Which process: its name in the fleet, and its pid at this moment. */
  process: string;
  pid: number;
  name: string;
  about: Record<string, unknown>;
}

export type PointHandler = (point: Point) => void | Promise<void>;

/** The harness's end: asked at every point, in the order of arrival; a process goes on when the handler resolves. */
export class ProbeServer {
  private handler: PointHandler = () => undefined;
  private readonly sockets = new Set<Socket>();
  private constructor(
    private readonly server: Server,
    readonly path: string,
  ) {}

  static async listen(dir: string): Promise<ProbeServer> {
    const file = path.join(dir, 'probe.sock');
    const server = createServer();
    const probe = new ProbeServer(server, file);
    server.on('connection', (socket) => probe.serve(socket));
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(file, resolve));
    return probe;
  }

  /** From now on `handler` decides; without one everybody goes on at once. */
  onPoint(handler: PointHandler = () => undefined): void {
    this.handler = handler;
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  private serve(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => this.sockets.delete(socket));
    linesOf(socket, (line) => {
      const { id, ...point } = JSON.parse(line) as Point & { id: number };
      Promise.resolve(this.handler(point)).then(
        () => socket.write(`${id}\n`),
        () => socket.destroy(),
      );
    });
  }
}

/** The process's end. Without a harness (FAULTS_PROBE is not set) no point holds anybody up. */
export class Probe {
  private readonly waiting = new Map<number, () => void>();
  private next = 0;
  private constructor(
    private readonly socket: Socket | null,
    private readonly name: string,
  ) {}

  static fromEnvironment(): Probe {
    const { FAULTS_PROBE: file, FAULTS_NAME: name = '' } = process.env;
    const probe = new Probe(file ? connect(file) : null, name);
    if (probe.socket) probe.read(probe.socket);
    return probe;
  }

  at(name: string, about: Record<string, unknown> = {}): Promise<void> {
    const { socket } = this;
    if (!socket || socket.destroyed) return Promise.resolve();
    const id = this.next++;
    const point: Point = { process: this.name, pid: process.pid, name, about };
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      socket.write(`${JSON.stringify({ id, ...point })}\n`);
    });
  }

  private read(socket: Socket): void {
    const release = (): void => {
      for (const go of this.waiting.values()) go();
      this.waiting.clear();
    };
    socket.on('error', release).on('close', release);
    socket.unref();
    linesOf(socket, (line) => {
      const id = Number(line);
      this.waiting.get(id)?.();
      this.waiting.delete(id);
    });
  }
}

/** A line of the input. What ends the connection is the socket's to say; readline repeats it, and nobody needs that. */
function linesOf(socket: Socket, take: (line: string) => void): void {
  readline
    .createInterface({ input: socket })
    .on('line', take)
    .on('error', () => undefined);
}
