import { readFileSync } from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from '#stack';
import { gatewayDocument } from './document.js';
import { OPERATIONS } from './operations.js';
import { typesOf } from './types.js';

const file = path.join(repositoryRoot(), 'libs/client/src/api.ts');

describe('types of libs/client', () => {
  it('are those of the API as it is; else: npm run client:build', () => {
    expect(typesOf(gatewayDocument(), OPERATIONS)).toBe(readFileSync(file, 'utf8'));
  });

  it('follow the document', () => {
    const document = gatewayDocument() as { paths: Record<string, Record<string, { summary: string }>> };
    const login = document.paths['/v1/auth/login']?.post;
    if (login) login.summary = 'Another one';
    expect(typesOf(document, OPERATIONS)).not.toBe(readFileSync(file, 'utf8'));
    expect(() => typesOf(document, ['GET /v1/nowhere'])).toThrow('no GET /v1/nowhere');
  });
});
