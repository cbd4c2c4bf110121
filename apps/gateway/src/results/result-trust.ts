import type { FaceResultPayload } from '#contracts';

/**
 * Whether a result may be believed as far as its origin goes. The only such place: the check of the worker's signature
 * comes in here. That it belongs to the attempt is compared field by field by the guard, in any case.
 */
export const isTrusted = (_result: FaceResultPayload): boolean => true;
