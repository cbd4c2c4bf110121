export type * from './api.js';
export { CountersignClient, type CountersignClientOptions } from './client.js';
export { ACR, type Demand, insufficientAuthentication, meets } from './demand.js';
export { CountersignError, CountersignUnreachableError } from './errors.js';
