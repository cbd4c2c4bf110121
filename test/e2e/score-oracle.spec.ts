import { differentAnswers, STRIKES } from '../medium/failures.js';
import { realFailures, reasonsOf } from './real-failures.js';
import { startWorld, type World } from './world.js';

const USERS = 10;

describe('T12: what the answer to a real failure tells', () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld({ name: 'score-oracle' });
  }, 120_000);
  afterAll(() => world?.stop());

  it('is the same to the byte: another face, a photo, a wrong gesture, none, a splice', async () => {
    const found = await realFailures(world, USERS, 5);
    expect(found).toHaveLength(USERS * STRIKES);
    expect(differentAnswers(found)).toEqual([1, 1, 1]);
    for (const { nth, answer } of found) expect(answer).toContain(nth < STRIKES - 1 ? 'not_verified' : 'locked');
    expect((await reasonsOf(world, found.length)).size).toBeGreaterThanOrEqual(4);
  }, 600_000);
});
