import { z } from 'zod';

/** What a mailed link holds: 256 bits. */
export const linkToken = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
export const linkTokenSchema = z.strictObject({ token: linkToken });
