import 'reflect-metadata';
import { createLogger } from '#observability';
import { loadConfig } from './config.js';
import { startInference } from './start.js';

async function main(): Promise<void> {
  const config = loadConfig();
  await startInference(config);
  createLogger({ name: 'inference', level: config.LOG_LEVEL }).info({ port: config.HEALTH_PORT }, 'inference is ready');
}

main().catch((error: unknown) => {
  // These two name variables and files, never values; anything else is logged without its message.
  const tellable = error instanceof Error && (error.name === 'ConfigError' || error.name === 'ModelFilesError');
  if (tellable) process.stderr.write(`${error.message}\n`);
  else createLogger({ name: 'inference', level: 'error' }).error({ err: error }, 'inference did not start');
  process.exit(1);
});
