import { FramesError, parseFrames, withoutRepeats } from './frames.js';

function body(header: unknown, payload: Buffer = Buffer.alloc(0), length?: number): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(length ?? json.length);
  return Buffer.concat([prefix, json, payload]);
}

describe('the body of a step', () => {
  it('is cut into its frames, which are views', () => {
    const whole = body({ frames: [{ tMs: 0, bytes: 2 }, { tMs: 40.5, bytes: 3 }], device: { x: 1 } }, Buffer.from('aabbb')); // prettier-ignore
    const frames = parseFrames(whole);
    expect(frames.map((f) => [f.tMs, Buffer.from(f.bytes).toString()])).toEqual([[0, 'aa'], [40.5, 'bbb']]); // prettier-ignore
    expect(frames[0]!.bytes.buffer).toBe(whole.buffer);
  });

  const frame = { tMs: 0, bytes: 1 };
  it.each([
    ['nothing', Buffer.alloc(0)],
    ['less than a length', Buffer.alloc(3)],
    ['a length beyond the body', body('{}', Buffer.alloc(0), 4000)],
    ['a length of 4 GB', body('{}', Buffer.alloc(0), 0xffffffff)],
    ['no JSON', body('{"frames":')],
    ['no frames', body({})],
    ['an empty list', body({ frames: [] })],
    ['a frame without bytes', body({ frames: [{ tMs: 0, bytes: 0 }] })],
    ['a negative size', body({ frames: [{ tMs: 0, bytes: -1 }] })],
    ['a fraction of a byte', body({ frames: [{ tMs: 0, bytes: 0.5 }] })],
    ['a frame over the limit', body({ frames: [{ tMs: 0, bytes: 512 * 1024 + 1 }] }, Buffer.alloc(512 * 1024 + 1))],
    ['times that stand still', body({ frames: [frame, frame] }, Buffer.alloc(2))],
    ['times that fall', body({ frames: [{ ...frame, tMs: 5 }, frame] }, Buffer.alloc(2))],
    ['too few bytes', body({ frames: [{ tMs: 0, bytes: 2 }] }, Buffer.alloc(1))],
    ['bytes left over', body({ frames: [frame] }, Buffer.alloc(2))],
    ['too many frames', body({ frames: Array.from({ length: 241 }, (_, i) => ({ tMs: i, bytes: 1 })) }, Buffer.alloc(241))], // prettier-ignore
  ])('is refused with %s', (_, bytes) => {
    expect(() => parseFrames(bytes)).toThrow(FramesError);
  });

  it('counts a frame once that comes again byte for byte', () => {
    const frames = ['aa', 'bb', 'aa', 'ccc', 'bb', 'ac'].map((text, i) => ({ tMs: i * 40, bytes: Buffer.from(text) }));
    expect(withoutRepeats(frames).map((f) => f.tMs)).toEqual([0, 40, 120, 200]);
  });
});
