import { gunzipSync } from 'node:zlib';

const BLOCK_BYTES = 512;

/**
 * The regular files of a gzipped tar archive, by path without the leading `package/` that npm adds.
 * Reads ustar with pax paths, which is all that npm writes; anything else in the archive is skipped.
 */
export function readTarball(gzipped: Uint8Array): Map<string, Buffer> {
  const tar = gunzipSync(gzipped);
  const files = new Map<string, Buffer>();
  let paxPath: string | undefined;
  for (let at = 0; at + BLOCK_BYTES <= tar.length;) {
    const header = tar.subarray(at, at + BLOCK_BYTES);
    if (header.every((byte) => byte === 0)) break;
    const sizeBytes = Number.parseInt(text(header, 124, 12).trim() || '0', 8);
    if (!Number.isSafeInteger(sizeBytes) || at + BLOCK_BYTES + sizeBytes > tar.length) {
      throw new Error('the archive is damaged: an entry runs past its end');
    }
    const body = tar.subarray(at + BLOCK_BYTES, at + BLOCK_BYTES + sizeBytes);
    const type = text(header, 156, 1);
    if (type === 'x') {
      paxPath = /(?:^|\n)\d+ path=([^\n]*)\n/.exec(body.toString('utf8'))?.[1];
    } else {
      if (type === '0' || type === '') {
        const prefix = text(header, 345, 155);
        const name = text(header, 0, 100);
        const path = paxPath ?? (prefix === '' ? name : `${prefix}/${name}`);
        files.set(path.replace(/^[^/]+\//, ''), Buffer.from(body));
      }
      paxPath = undefined;
    }
    at += BLOCK_BYTES + Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
  }
  return files;
}

function text(header: Buffer, start: number, length: number): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.subarray(0, end === -1 ? length : end).toString('utf8');
}
