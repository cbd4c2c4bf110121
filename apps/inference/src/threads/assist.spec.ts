import { MessageChannel } from 'node:worker_threads';
import type { FaceModels } from '../pipeline/nets.js';
import { assist, AssistedNets } from './assist.js';

/** Nets that say who ran them: the number that `live` gives. */
const netsOf = (whose: number): FaceModels => {
  const unused = (): never => {
    throw new Error('not of this test');
  };
  const live = (): Promise<number> => Promise.resolve(whose);
  return { live, recognisers: [], detect: unused, mesh: unused, embed: unused, happy: unused, eyeClosed: unused };
};
const OWN = 1;
const HELPER = 2;
const tensor = (): Float32Array => new Float32Array(4);
const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

describe('a thread that helps another', () => {
  it('answers what it was asked, and is asked nothing more once it has a task of its own', async () => {
    const { port1, port2 } = new MessageChannel();
    const leave = assist(netsOf(HELPER), port2);
    const nets = new AssistedNets(netsOf(OWN));
    await nets.with(port1, async () => {
      expect(await nets.live(tensor())).toBe(HELPER);
      expect(nets.ahead).toBeGreaterThan(1);
      const asked = [nets.live(tensor()), nets.live(tensor())];
      leave();
      expect(await Promise.all(asked)).toEqual([HELPER, HELPER]);
      await soon();
      expect([await nets.live(tensor()), nets.ahead]).toEqual([OWN, 1]);
    });
    // Of a step that is over: nobody listens, and nothing is thrown.
    await soon();
    leave();
  });

  it('that ends leaves what it was asked undone, and the step goes on alone', async () => {
    const { port1, port2 } = new MessageChannel();
    const nets = new AssistedNets(netsOf(OWN));
    await nets.with(port1, async () => {
      const asked = nets.live(tensor());
      port2.close();
      await expect(asked).rejects.toThrow('failed on the helping thread');
      expect(await nets.live(tensor())).toBe(OWN);
    });
  });
});
