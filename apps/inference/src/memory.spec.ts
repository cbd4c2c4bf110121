import { movable, release } from './memory.js';

describe('memory', () => {
  it('that is whole is moved as it is; a part of a larger one is moved out, and overwritten where it was', () => {
    const whole = Buffer.from(new Uint8Array([1, 2, 3]).buffer);
    expect(movable(whole).buffer).toBe(whole.buffer);
    const shared = new Uint8Array([1, 2, 3, 4]);
    const moved = movable(shared.subarray(1, 3));
    expect([...moved]).toEqual([2, 3]);
    expect(moved.buffer.byteLength).toBe(2);
    expect([...shared]).toEqual([1, 0, 0, 4]);
  });

  it('is given back at once if it is whole, and left alone if others have a part of it', () => {
    const whole = Buffer.from(new ArrayBuffer(2 ** 20));
    release(whole);
    expect(whole).toHaveLength(0);
    expect(() => release(whole)).not.toThrow();
    const shared = new Uint8Array([1, 2, 3, 4]);
    release(shared.subarray(1, 3));
    expect([...shared]).toEqual([1, 2, 3, 4]);
  });
});
