import { NativeGate } from './native-gate.js';

describe('the gate before native code', () => {
  it('is idle when every call has ended, also one that failed', async () => {
    const [thread, owner] = sides();
    let finish: () => void = () => undefined;
    const call = thread.within(() => new Promise<void>((resolve) => (finish = resolve)));
    await expect(thread.within(() => Promise.reject(new Error('a net failed')))).rejects.toThrow('a net failed');
    expect(owner.isIdle).toBe(false);
    expect(await owner.untilIdle(30)).toBe(false);
    finish();
    await call;
    expect(await owner.untilIdle()).toBe(true);
  });

  it('lets no call begin once it is closed, and those under way end', async () => {
    const [thread, owner] = sides();
    let finish: () => void = () => undefined;
    const call = thread.within(() => new Promise<void>((resolve) => (finish = resolve)));
    owner.close();
    const begun = jest.fn(() => Promise.resolve());
    await expect(thread.within(begun)).rejects.toThrow('about to end');
    expect(begun).not.toHaveBeenCalled();
    expect(owner.isIdle).toBe(false);
    finish();
    await call;
    expect(await owner.untilIdle()).toBe(true);
  });
});

function sides(): [NativeGate, NativeGate] {
  const owner = new NativeGate();
  return [new NativeGate(owner.memory), owner];
}
