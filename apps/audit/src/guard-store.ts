/** Injection token of the `GuardStore`. */
export const GUARD_STORE = Symbol('guard store');
