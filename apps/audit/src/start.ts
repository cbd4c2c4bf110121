import { readFileSync } from 'node:fs';
import { NestFactory } from '@nestjs/core';
import { type MicroserviceOptions, Transport } from '@nestjs/microservices';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppLogger, NestLogBridge } from '#observability';
import { AppModule } from './app.module.js';
import type { AuditConfig } from './config.js';

/** A query is a few hundred characters; nobody unknown may make us hold more of his. */
const QUERY_CHARS_MAX = 64 * 1024;

export async function startAudit(config: AuditConfig): Promise<NestFastifyApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(AppModule.forRoot(config), new FastifyAdapter(), {
    bufferLogs: true,
  });
  app.enableShutdownHooks();
  await listen(app, config);
  return app;
}

/** Queries over TCP, health over HTTP. */
export async function listen(app: NestFastifyApplication, config: AuditConfig): Promise<void> {
  app.useLogger(new NestLogBridge(app.get(AppLogger)));
  app.connectMicroservice<MicroserviceOptions>({
    transport: Transport.TCP,
    options: {
      host: config.AUDIT_HOST,
      port: config.AUDIT_PORT,
      maxBufferSize: QUERY_CHARS_MAX,
      tlsOptions: tlsOf(config),
    },
  });
  await app.startAllMicroservices();
  await app.listen(config.HEALTH_PORT, config.HEALTH_HOST);
}

/** Answers hold addresses and similarities. Who asks is known by the shared secret, who answers by the certificate. */
function tlsOf({ AUDIT_TLS_CERT_FILE: cert, AUDIT_TLS_KEY_FILE: key }: AuditConfig) {
  if (!cert || !key) return undefined;
  return { cert: readFileSync(cert), key: readFileSync(key), minVersion: 'TLSv1.3' as const };
}
