import path from 'node:path';
import { createHash } from 'node:crypto';
import { RecordedPerson, StillPhoto } from './camera.js';
import { Media } from './media.js';

describe('the test camera', () => {
  it('never films the same bytes twice, whoever it films and however often', async () => {
    const media = new Media(path.resolve(__dirname, '../../../test/media'));
    const seen = new Set<string>();
    let filmed = 0;
    for (const seed of [1, 2, 3]) {
      for (const performer of [new RecordedPerson(media, 'franck', seed), new StillPhoto(media, 'franck', seed)]) {
        for (const action of ['smile', 'blink', 'turn_left', 'smile'] as const) {
          for (const { jpeg } of await performer.perform(action)) {
            seen.add(createHash('sha256').update(jpeg).digest('hex'));
            filmed++;
          }
        }
      }
    }
    expect(filmed).toBeGreaterThan(1_000);
    expect(seen.size).toBe(filmed);
  });
});
