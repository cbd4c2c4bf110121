import { type DynamicModule, type LoggerService, Module } from '@nestjs/common';
import { AppLogger, createLogger, type LoggerOptions } from './logger.js';

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

@Module({})
export class LoggerModule {
  static forRoot(options: LoggerOptions): DynamicModule {
    return {
      module: LoggerModule,
      global: true,
      providers: [{ provide: AppLogger, useValue: createLogger(options) }],
      exports: [AppLogger],
    };
  }
}
