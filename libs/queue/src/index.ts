export { BlobStore } from './blob-store.js';
export { asking, isWrongServer, tryWrite } from './connections.js';
export { PermanentError, RetryableError, TransportDownError } from './errors.js';
export { countWorkers, inspectRedis } from './inspect.js';
export { type JobContext, JobHandler } from './job-handler.js';
export { JobQueue } from './job-queue.js';
export { SHUTDOWN_GRACE_MS } from './job-workers.js';
export { QueueModule, type QueueModuleOptions } from './queue.module.js';
export { withinRunTime } from './run-time.js';
