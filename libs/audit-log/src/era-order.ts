/**
 * Leave to sign a log that does not continue the last published checkpoint, as after a restore. It lies beside the file
 * of checkpoints, where the owner of the database cannot write, and counts for one last line only.
 */
export interface EraOrder {
  /** The last published checkpoint: the note as it stands there. */
  note: string;
  /** At most 200 characters, for the log. */
  reason: string;
}

/**
 * The file from which the last published checkpoint can be read back: that of all checkpoints, or where they go to
 * standard output that of the last one; null: neither.
 */
export const publishedFileOf = ({ all, pin }: { all: string | undefined; pin: string | undefined }): string | null =>
  all === undefined || all === 'stdout' ? (pin ?? null) : all;

export const ERA_REASON_MAX = 200;
export const eraFileOf = (checkpointFile: string): string => `${checkpointFile}.era`;

/** Null: it is none. */
export function readEraOrder(text: string): EraOrder | null {
  try {
    const { note, reason } = (JSON.parse(text) ?? {}) as Partial<Record<keyof EraOrder, unknown>>;
    if (typeof note !== 'string' || typeof reason !== 'string') return null;
    return reason.length > 0 && reason.length <= ERA_REASON_MAX ? { note, reason } : null;
  } catch {
    return null;
  }
}
