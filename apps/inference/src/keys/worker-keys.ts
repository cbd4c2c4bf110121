import type { KeySet, NamedKey } from '#sealing';

export const WORKER_KEYS = Symbol('worker keys');

/** The keys of a worker. Of each set the first makes; all of them open. */
export interface WorkerKeys {
  evidence: KeySet;
  /** X25519, private: opens frames. */
  frames: KeySet;
  /** Ed25519 seed: signs what this worker says. */
  signing: NamedKey;
  /** X25519, public, of the gateways. */
  similarity: NamedKey;
}
