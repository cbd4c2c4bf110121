import { ERROR_CODES } from '#contracts';
import { errorRow } from './error-table.js';

describe('error table', () => {
  it('has a row of its own for every code, and no title twice', () => {
    const titles = new Set(ERROR_CODES.map((code) => errorRow(code).title));
    expect(titles.size).toBe(ERROR_CODES.length);
  });

  it('maps refusals below 500 and only outages above', () => {
    const above = ERROR_CODES.filter((code) => errorRow(code).status >= 500);
    expect(above).toEqual(['busy', 'unavailable', 'internal']);
    for (const code of ERROR_CODES) expect(errorRow(code).status).toBeGreaterThanOrEqual(400);
  });

  it('says when to come back wherever waiting helps', () => {
    for (const code of ERROR_CODES) {
      const { status, retryAfterSeconds } = errorRow(code);
      if (status === 429 || status === 503)
        expect({ code, retryAfterSeconds }).toMatchObject({ retryAfterSeconds: expect.any(Number) as number });
    }
  });
});
