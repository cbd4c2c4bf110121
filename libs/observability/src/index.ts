export { correlationId, withCorrelation } from './correlation.js';
export { AppLogger, createLogger, type LogFields, type LoggerOptions } from './logger.js';
export { LoggerModule, NestLogBridge } from './logger.module.js';
export { HTTP_KINDS, type HttpKind, type MetricName, METRICS, Metrics, type ProcessName } from './metrics.js';
