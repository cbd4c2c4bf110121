import { type DynamicModule, type LoggerService, Module } from '@nestjs/common';
import { AppLogger, createLogger, type LoggerOptions } from './logger.js';
import { Metrics } from './metrics.js';
import { type MetricsAddress, MetricsServer } from './metrics-server.js';

/** Sends Nest's own start-up lines through our logger. Errors keep only their context: Nest puts messages into text. */
export class NestLogBridge implements LoggerService {
  constructor(private readonly logger: AppLogger) {}

  log(message: unknown, context?: unknown): void {
    this.logger.debug({ state: text(context) }, `nest: ${text(message)}`);
  }
  warn(message: unknown, context?: unknown): void {
    this.logger.warn({ state: text(context) }, `nest: ${text(message)}`);
  }
  error(message: unknown, ...rest: unknown[]): void {
    this.logger.error({ state: text(rest.at(-1)), err: message }, 'nest: error');
  }
  fatal(message: unknown, ...rest: unknown[]): void {
    this.error(message, ...rest);
  }
}

const text = (value: unknown): string => (typeof value === 'string' ? value : typeof value);

/** What a process tells of itself: lines, and measurements under its name. */
@Module({})
export class LoggerModule {
  static forRoot(options: LoggerOptions & { metrics?: MetricsAddress }): DynamicModule {
    const logger = createLogger(options);
    const metrics = new Metrics(options.name);
    const address = options.metrics ?? { host: '127.0.0.1', port: undefined };
    return {
      module: LoggerModule,
      global: true,
      providers: [
        { provide: AppLogger, useValue: logger },
        { provide: Metrics, useValue: metrics },
        { provide: MetricsServer, useFactory: () => new MetricsServer(address, metrics, logger) },
      ],
      exports: [AppLogger, Metrics],
    };
  }
}
