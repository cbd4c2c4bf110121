export { allowedActions, drawChallenge, newChallengeId, nextReleaseDelayMs } from './challenge.js';
export { type AttemptClass, type AttemptEnd, classifyAttempt } from './classify.js';
export { databaseClock, fixedClock, type GuardClock, shiftedClock } from './pipeline.js';
export { GuardMachine } from './machine.js';
export { attemptEventIds, endTypesOf, type EventSealer, type SealedAttempt, type UserSealer } from './sealer.js';
export type { SealedOrigin } from './sealer.js';
export { createNewGuards, type NewGuards } from './new-guards.js';
export { createGuardStore, type GuardStoreOptions } from './store.js';
export type * from './types.js';
