import fc from 'fast-check';
import { frameTimes } from './frame-times.js';

describe("13.3: the frames' times by a client's clock are hints", () => {
  it.each([
    ['as they should be', [0, 40, 80, 120], [0, 40, 80, 120]],
    ['of one frame', [7], [0]],
    ['since the page was loaded', [90_040, 90_080, 90_120], [0, 40, 80]],
    ['since 1970', [1_790_000_000_000, 1_790_000_000_040], [0, 40]],
    ['below zero', [-80, -40, 0], [0, 40, 80]],
    ['rounded to 100 ms', [0, 0, 0, 100, 100, 200, 200], [0, 100 / 3, 200 / 3, 100, 150, 200, 240]],
    ['rounded, and the last alone', [0, 0, 100], [0, 50, 100]],
  ])('%s', (_, given, times) => {
    const read = frameTimes(given);
    expect(read).toHaveLength(times.length);
    times.forEach((time, i) => expect(read?.[i]).toBeCloseTo(time, 6));
  });

  it.each([
    ['that fall', [0, 40, 30]],
    ['of a clock that was set back', [5_000, 5_040, 0, 40]],
    ['of a clock that stands', [7, 7, 7]],
  ])('nothing is made of times %s', (_, given) => {
    expect(frameTimes(given)).toBeNull();
  });

  it('a clock of 24 frames a second that rounds is off by no more than it rounds, and its times rise', () => {
    const clocks = fc.record({ roundMs: fc.integer({ min: 1, max: 100 }), startMs: fc.integer({ min: 0, max: 1e6 }), frames: fc.integer({ min: 10, max: 96 }) }); // prettier-ignore
    fc.assert(
      fc.property(clocks, ({ roundMs, startMs, frames }) => {
        const real = Array.from({ length: frames }, (_, i) => (i * 1000) / 24);
        const read = frameTimes(real.map((time) => Math.floor((startMs + time) / roundMs) * roundMs));
        return (
          read !== null &&
          read.every((time, i) => i === 0 || time > (read[i - 1] ?? 0)) &&
          read.every((time, i) => Math.abs(time - (real[i] ?? 0)) <= 2 * roundMs)
        );
      }),
    );
  });
});
