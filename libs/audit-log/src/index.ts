export { ERA_REASON_MAX, eraFileOf, type EraOrder, publishedFileOf, readEraOrder } from './era-order.js';
export { encodeEntry, decodeEntry, entryHash, GENESIS_HASH, type LogEntry, payloadCommit } from './entry.js';
export { consistencyProof, GrowingTree, inclusionProof, isConsistent, isIncluded, rootOf } from './merkle.js';
export {
  type Checkpoint,
  noteSigner,
  type NoteSigner,
  noteVerifier,
  type NoteVerifier,
  openCheckpoint,
  signCheckpoint,
} from './note.js';
export { openMailOrigin, openPersonal, sealMailOrigin, sealPersonal, SearchTags } from './personal.js';
export { createProofSealer, EventProofs, proofOfOlder } from './proofs.js';
export {
  type CheckpointRecord,
  exportCheckpoint,
  exportHeader,
  exportRecord,
  type ExportLine,
  isIndexedAs,
  LOG_COLLECTIONS,
  type LogRecord,
  readCheckpointLine,
  readExportLine,
  recordOf,
  type StoredCheckpoint,
  type StoredEntry,
} from './records.js';
export {
  createEventSealer,
  newSubject,
  nobodyOf,
  openSubject,
  readSubject,
  rewrapped,
  type Subject,
  type SubjectRow,
  SubjectKeys,
  type SubjectRows,
} from './subjects.js';
export type { CheckpointSources } from './signed-branches.js';
export { LogVerifier, type Problem, type ProblemKind, type VerifyReport } from './verify.js';
