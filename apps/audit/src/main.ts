import 'reflect-metadata';
import { createLogger } from '#observability';
import { startAudit } from './start.js';
import { loadConfig } from './config.js';

async function main(): Promise<void> {
  const config = loadConfig();
  await startAudit(config);
  createLogger({ name: 'audit', level: config.LOG_LEVEL }).info({ port: config.AUDIT_PORT }, 'audit is ready');
}

main().catch((error: unknown) => {
  // A ConfigError names variables, never values; anything else is logged without its message.
  if (error instanceof Error && error.name === 'ConfigError') process.stderr.write(`${error.message}\n`);
  else createLogger({ name: 'audit', level: 'error' }).error({ err: error }, 'audit did not start');
  process.exit(1);
});
