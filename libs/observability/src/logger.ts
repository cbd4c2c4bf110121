import { type DestinationStream, type Logger as Pino, pino, stdTimeFunctions } from 'pino';
import { correlationId } from './correlation.js';

/**
 * Everything that may stand in a log line beside the message. A closed list: a field that is not here cannot be logged,
 * so no frame, embedding, password, token or address gets in by accident.
 */
export interface LogFields {
  attemptId?: string;
  userId?: string;
  sessionId?: string;
  erasureId?: string;
  mailId?: string;
  template?: string;
  jobId?: string;
  job?: string;
  queue?: string;
  step?: number;
  run?: number;
  purpose?: string;
  outcome?: string;
  verdict?: string;
  code?: string;
  status?: number;
  method?: string;
  /** The route's pattern, never the requested path. */
  route?: string;
  eventType?: string;
  count?: number;
  frames?: number;
  threads?: number;
  port?: number;
  signal?: string;
  model?: string;
  modelDigest?: string;
  ms?: number;
  bytes?: number;
  tries?: number;
  state?: string;
  reason?: string;
  /** Logged as its name, its code and its stack frames; the message may hold personal data and is left out. */
  err?: unknown;
}

const TEXT_FIELDS = [
  'attemptId', 'userId', 'sessionId', 'erasureId', 'mailId', 'template', 'jobId', 'job', 'queue', 'purpose', 'outcome',
  'verdict', 'code', 'method', 'route', 'eventType', 'signal', 'model', 'modelDigest', 'state', 'reason',
] as const satisfies readonly (keyof LogFields)[]; // prettier-ignore
const NUMBER_FIELDS = [
  'step', 'run', 'status', 'count', 'frames', 'threads', 'port', 'ms', 'bytes', 'tries',
] as const satisfies readonly (keyof LogFields)[]; // prettier-ignore
const TEXT_MAX = 200;

export interface LoggerOptions {
  name: string;
  level: 'debug' | 'info' | 'warn' | 'error';
  /** Where lines go; standard output if absent. */
  destination?: DestinationStream;
}

/** JSON lines, one per event, of allow-listed fields only (checked again here, as types do not bind at run time). */
export class AppLogger {
  constructor(private readonly pino: Pino) {}

  debug(fields: LogFields, message: string): void {
    this.pino.debug(allowed(fields), message);
  }
  info(fields: LogFields, message: string): void {
    this.pino.info(allowed(fields), message);
  }
  warn(fields: LogFields, message: string): void {
    this.pino.warn(allowed(fields), message);
  }
  error(fields: LogFields, message: string): void {
    this.pino.error(allowed(fields), message);
  }
}

export function createLogger(options: LoggerOptions): AppLogger {
  const settings = {
    level: options.level,
    base: { app: options.name },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    mixin: () => ({ correlationId: correlationId() }),
  };
  return new AppLogger(options.destination ? pino(settings, options.destination) : pino(settings));
}

function allowed(fields: LogFields): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const key of TEXT_FIELDS) {
    const value: unknown = fields[key];
    if (typeof value === 'string') kept[key] = value.slice(0, TEXT_MAX);
  }
  for (const key of NUMBER_FIELDS) {
    const value: unknown = fields[key];
    if (typeof value === 'number') kept[key] = value;
  }
  if (fields.err !== undefined) kept.err = describeError(fields.err);
  return kept;
}

function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { name: typeof error };
  const { code } = error as { code?: unknown };
  return {
    name: error.name,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    // Frames only: the first lines repeat the message.
    frames: (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line)).slice(0, 8), // prettier-ignore
    ...(error.cause instanceof Error ? { cause: describeError(error.cause) } : {}),
  };
}
