import 'reflect-metadata';
import { createLogger } from '#observability';
import { Checkpointer } from './log/checkpointer.js';
import { startAudit } from './start.js';
import { loadConfig } from './config.js';

async function main(): Promise<void> {
  const config = loadConfig();
  const app = await startAudit(config);
  const logger = createLogger({ name: 'audit', level: config.LOG_LEVEL });
  logger.info({}, `checkpoints can be verified with ${app.get(Checkpointer).signer.vkey}`);
  logger.info({ port: config.AUDIT_PORT }, 'audit is ready');
}

main().catch((error: unknown) => {
  // A ConfigError names variables, never values; anything else is logged without its message.
  if (error instanceof Error && error.name === 'ConfigError') process.stderr.write(`${error.message}\n`);
  else createLogger({ name: 'audit', level: 'error' }).error({ err: error }, 'audit did not start');
  process.exit(1);
});
