/** Memory that can be moved to a thread: a Buffer may share its memory with others, then its part is moved out. */
export function movable(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  if (isWhole(bytes) && buffer instanceof ArrayBuffer) return new Uint8Array(buffer);
  const copy = new Uint8Array(bytes);
  bytes.fill(0);
  return copy;
}

/**
 * Gives memory that nobody needs any more back at once, and leaves its buffer empty. What is as large as the frames of a
 * step and lives as long would wait for a full garbage collection, and a few such make one necessary: 50 ms of a core.
 * Does nothing to a part of a larger buffer, and nothing a second time.
 */
export function release(bytes: Uint8Array): void {
  if (bytes.byteLength > 0 && isWhole(bytes)) structuredClone(null, { transfer: [bytes.buffer as ArrayBuffer] });
}

const isWhole = ({ buffer, byteLength }: Uint8Array): boolean => byteLength === buffer.byteLength;
