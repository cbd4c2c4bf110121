import { z } from 'zod';
import { EventProofs } from '#audit-log';
import { env, parseEnv } from '#config';

/** By EVENT_MAC_KEY; null in development without one. */
export function eventProofs(source?: Record<string, string | undefined>): EventProofs | null {
  const { EVENT_MAC_KEY } = parseEnv(z.object({ EVENT_MAC_KEY: env.keySet.optional() }), source);
  return EVENT_MAC_KEY ? new EventProofs(EVENT_MAC_KEY) : null;
}
