import { AppLogger } from '#observability';
import { loadConfig } from './config.js';
import { endOnSignals } from './health/drain.js';
import { createGateway } from './http/server.js';

async function main(): Promise<void> {
  const config = loadConfig();
  const app = await createGateway(config);
  endOnSignals(app, config.SHUTDOWN_DRAIN_SECONDS);
  await app.listen(config.GATEWAY_PORT, config.GATEWAY_HOST);
  const address = app.getHttpServer().address();
  app.get(AppLogger).info({ port: typeof address === 'object' ? address?.port : undefined }, 'gateway listens');
}

main().catch((error: unknown) => {
  process.stderr.write(`gateway: ${error instanceof Error ? `${error.name}: ${error.message}` : 'failed'}\n`);
  process.exit(1);
});
