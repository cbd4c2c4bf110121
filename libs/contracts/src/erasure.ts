import { z } from 'zod';

/** One document of the collection `erasures`: the ledger of an erasure. `_id` is the erasureId. */
export const erasureRowSchema = z.object({
  _id: z.uuid(),
  userId: z.uuid(),
  requestedBy: z.uuid(),
  requestedAt: z.date(),
  completedAt: z.date().optional(),
  state: z.enum(['requested', 'running', 'completed']),
});
export type ErasureRow = z.infer<typeof erasureRowSchema>;
