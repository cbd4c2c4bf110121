import { type DynamicModule } from '@nestjs/common';
import { MongooseModule } from '@nestjs/mongoose';
import type { Connection, mongo } from 'mongoose';
import { makesIndexes } from '#config';
import type { GatewayConfig } from '../config.js';
import { bounded, type Limits } from './bounded.js';

/** Longest that a request waits for a server to appear: with MongoDB away a route answers 503 within a second. */
const SELECTION_MS = 800;
/** A connection on which nothing came for so long is given up. Requests do not wait for that, an index at boot may. */
const SOCKET_MS = 10_000;

const limits = new WeakMap<Connection, Limits>();

type MongoConfig = Pick<GatewayConfig, 'MONGODB_URI' | 'MONGODB_WAIT_MS' | 'NODE_ENV'>;

export const mongoModule = (config: MongoConfig): DynamicModule =>
  MongooseModule.forRoot(config.MONGODB_URI, {
    serverSelectionTimeoutMS: SELECTION_MS,
    connectTimeoutMS: SELECTION_MS,
    waitQueueTimeoutMS: SELECTION_MS,
    socketTimeoutMS: SOCKET_MS,
    heartbeatFrequencyMS: 2_000,
    // A grant or a strike that a fail-over could forget is none.
    writeConcern: { w: 'majority', journal: true },
    readConcern: { level: 'majority' },
    autoCreate: false,
    autoIndex: false,
    bufferCommands: false,
    retryAttempts: 3,
    retryDelay: 1_000,
    verboseRetryLog: false,
    onConnectionCreate: (connection: Connection) => {
      limits.set(connection, { waitMs: config.MONGODB_WAIT_MS, makesIndexes: makesIndexes(config) });
    },
  });

/**
 * The driver's own database, and its collections: mongoose's would hold operations back while it reconnects, instead of
 * failing. No operation is waited for longer than a request may be kept waiting.
 */
export function database(connection: Connection): mongo.Db {
  const own = limits.get(connection);
  if (own === undefined) throw new Error('a connection that mongoModule did not make');
  return bounded(connection.getClient().db(connection.name), own);
}
export const collection = <T extends mongo.Document>(connection: Connection, name: string): mongo.Collection<T> =>
  database(connection).collection<T>(name);

export const isDuplicateKey = (error: unknown): boolean =>
  error instanceof Error && error.name === 'MongoServerError' && (error as { code?: unknown }).code === 11_000;
