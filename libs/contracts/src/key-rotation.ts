import { z } from 'zod';

/**
 * One document of the collection `key_rotations`. The command line asks for it, a gateway moves the rows, a worker wraps
 * their keys. Where it stands is in the rows themselves: whoever goes on after a crash goes on where it ended.
 */
export const keyRotationSchema = z.object({
  _id: z.uuid(),
  requestedAt: z.date(),
  state: z.enum(['running', 'done', 'failed']),
  /** Of `failed`: no worker has the key any more that the first one named, or too many rows do not open. */
  reason: z.enum(['no_worker_has_the_key', 'too_many_rows_do_not_open']).nullable(),
  /** The version that every row is to name at the end; null until a worker has named its newest. */
  target: z.string().nullable(),
  /** Rows of other versions at the beginning, moved so far, and those that did not open under any key there is. */
  total: z.int(),
  moved: z.int(),
  unopened: z.int(),
  finishedAt: z.date().nullable(),
  /** The gateway at work, until when it is thought to live. */
  owner: z.string().nullable(),
  leaseUntil: z.date(),
});
export type KeyRotation = z.infer<typeof keyRotationSchema>;
