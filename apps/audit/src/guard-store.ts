/** Injection token of the `GuardStore`. */
export const GUARD_STORE = Symbol('guard store');
/** Of `NewGuards`. */
export const NEW_GUARDS = Symbol('new guards');
