import { createServer, type Server } from 'node:http';
import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { AppLogger } from './logger.js';
import { Metrics } from './metrics.js';

export interface MetricsAddress {
  host: string;
  /** Absent: nothing listens. */
  port: number | undefined;
}

/**
 * Serves GET /metrics on a listener of its own, so that no proxy can lead the public to it. There is nothing personal in
 * it; how much goes on is nobody's business all the same.
 */
@Injectable()
export class MetricsServer implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private server: Server | undefined;

  constructor(
    private readonly address: MetricsAddress,
    private readonly metrics: Metrics,
    private readonly logger: AppLogger,
  ) {}

  /** @throws Error when the port is taken: a process whose alarm is deaf does not start. */
  async onApplicationBootstrap(): Promise<void> {
    const { host, port } = this.address;
    if (port === undefined) return;
    const server = createServer({ requestTimeout: 5_000, headersTimeout: 5_000 }, (request, response) => {
      if (request.url?.split('?')[0] !== '/metrics') return void response.writeHead(404).end();
      if (request.method !== 'GET' && request.method !== 'HEAD') return void response.writeHead(405, { allow: 'GET, HEAD' }).end(); // prettier-ignore
      this.metrics.text().then(
        ({ type, body }) =>
          response.writeHead(200, { 'content-type': type }).end(request.method === 'HEAD' ? '' : body),
        (err: unknown) => {
          this.logger.error({ err }, 'metrics');
          response.writeHead(500).end();
        },
      );
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
    this.server = server.unref();
    this.logger.info({ port: this.port }, 'metrics are served');
  }

  /** The port that is listened on: of use where 0 let the system choose. */
  get port(): number | undefined {
    const address = this.server?.address();
    return typeof address === 'object' ? address?.port : undefined;
  }

  async beforeApplicationShutdown(): Promise<void> {
    const { server } = this;
    if (!server) return;
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}
