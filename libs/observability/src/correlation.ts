import { AsyncLocalStorage } from 'node:async_hooks';

const storage = new AsyncLocalStorage<string>();

/** Runs `work` so that every line logged inside carries this id: a request's id, or a job's. */
export const withCorrelation = <T>(id: string, work: () => T): T => storage.run(id, work);

export const correlationId = (): string | undefined => storage.getStore();
