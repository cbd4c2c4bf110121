import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppLogger, NestLogBridge } from '#observability';
import { AppModule } from './app.module.js';
import type { InferenceConfig } from './config.js';

/** The whole process: models, jobs, and health over HTTP. SIGTERM lets running jobs end (20 s, see the queue's library). */
export async function startInference(config: InferenceConfig): Promise<NestFastifyApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(AppModule.forRoot(config), new FastifyAdapter(), {
    bufferLogs: true,
    abortOnError: false,
  });
  app.useLogger(new NestLogBridge(app.get(AppLogger)));
  // With an exit code of its own: by default Nest ends by raising the signal once more, which reads as a crash.
  app.enableShutdownHooks([], { useProcessExit: true });
  await app.listen(config.HEALTH_PORT, config.HEALTH_HOST);
  return app;
}
