export interface FileResult {
  file: string;
  bytes: number;
  /** What the HTTP route answers to the step: 202, or a refusal. */
  status: number;
  /** The refusal's code, or what the worker says of the step. */
  code: string;
  /** What the worker says, where it was asked: also of what the gateway refuses. */
  worker?: string;
  /** From the step's body to that. */
  ms: number;
}

export interface Shown {
  files: FileResult[];
  modelDigest: string;
  /** Of the process that analyses, models included; null where the work was done elsewhere. */
  rssPeakBytes: number | null;
}

/** The bytes of a file. */
export type Picture = (file: string) => Buffer;
