import { deserialize, serialize } from 'bson';
import { errorReply, isConflict, mongoCode, MongoError, unpackSqlState } from './errors.js';
import { answerOf, requestFrame, split } from './wire.js';

describe('messages on the wire', () => {
  const commands = [{ ping: 1 }, { find: 'users', filter: { name: 'x'.repeat(300) } }, { hello: 1 }];
  const stream = Buffer.concat(commands.map((command) => requestFrame(serialize(command))));
  const parse = (message: Buffer) => deserialize(answerOf(message));

  it.each([1, 3, 16, 17, 64, 1000])('are found again in a stream that comes in pieces of %i bytes', (size) => {
    const got: unknown[] = [];
    const feed = split((message) => got.push(parse(message)), fail);
    for (let at = 0; at < stream.length; at += size) feed(stream.subarray(at, at + size));
    expect(got).toEqual(commands);
  });

  it.each([0, 15, -1, 48_000_001])('a length of %i ends the connection', (length) => {
    const bad = Buffer.alloc(16);
    bad.writeInt32LE(length, 0);
    let ended = 0;
    split(fail, () => ended++)(bad);
    expect(ended).toBe(1);
  });
});

describe('errors', () => {
  it('a packed SQLSTATE is five characters of six bits', () => {
    const pack = (state: string) =>
      [...state].reduce((sum, char, index) => sum | ((char.charCodeAt(0) - 48) << (6 * index)), 0);
    for (const state of ['23505', '40P01', 'M001C']) expect(unpackSqlState(pack(state))).toBe(state);
  });

  it('have MongoDB’s codes', () => {
    expect(mongoCode('23P01')).toEqual({ code: 11000, name: 'DuplicateKey' });
    expect(mongoCode('57P01')).toEqual({ code: 91, name: 'ShutdownInProgress' });
    expect(isConflict('55P03')).toBe(true);
    expect(errorReply(Object.assign(new Error('x'), { code: 'M0004' }))).toEqual({
      ok: 0,
      errmsg: 'x',
      code: 14,
      codeName: 'TypeMismatch',
    });
    expect(errorReply(new MongoError(1, 'A', 'y', ['L'], { keyPattern: { a: 1 } }))).toMatchObject({
      errorLabels: ['L'],
      keyPattern: { a: 1 },
    });
  });
});

function fail(): never {
  throw new Error('must not be called');
}
