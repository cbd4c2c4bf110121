import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { UsageError } from '../eval/fault.js';
import { windowsOf } from './footage.js';
import { readLibrary } from './library.js';

describe('a library of footage', () => {
  let folder: string;
  beforeAll(() => (folder = mkdtempSync(path.join(tmpdir(), 'library-'))));
  afterAll(() => rmSync(folder, { recursive: true }));
  const read = (...rows: string[]) => {
    const file = path.join(folder, 'lib.csv');
    writeFileSync(file, ['person,action,file,start_s,end_s', ...rows].join('\r\n'));
    return readLibrary(file);
  };

  it('knows what each person shows; the rest is an opt-out', () => {
    const { people, files } = read('a,smile,x.mp4,1,2', 'a,blink,x.mp4,3,3.2', 'b,turn_left,"y,1.mp4",0,1', 'b,turn_right,y 2.mp4,0,1'); // prettier-ignore
    expect(people.map((p) => [p.name, p.gestures])).toEqual([
      ['a', ['blink', 'smile']],
      ['b', ['turn_left', 'turn_right']],
    ]);
    expect(files).toEqual(['x.mp4', 'y,1.mp4', 'y 2.mp4']);
  });

  it.each([
    ['lib.csv:2: unknown action "wave"', ['a,wave,x.mp4,1,2']],
    ['lib.csv:3: "start_s" is not a number: one', ['a,smile,x.mp4,1,2', 'a,blink,x.mp4,one,2']],
    ['lib.csv:2: ends before or as it starts', ['a,smile,x.mp4,2,2']],
    ['lib.csv:2: starts before the file does', ['a,smile,x.mp4,-1,2']],
    ['lib.csv:3: 4 values, not 5', ['a,smile,x.mp4,1,2', 'a,blink,x.mp4,1']],
    ['lib.csv:2: "file" is empty', ['a,smile,,1,2']],
    ['lib.csv: no rows', []],
    ['"b" needs footage of at least 2 gestures besides neutral, and has smile', ['a,smile,x,1,2', 'a,blink,x,3,4', 'b,smile,y,1,2', 'b,neutral,y,3,4']], // prettier-ignore
  ])('refuses a wrong list: %s', (message, rows) => {
    expect(() => read(...rows)).toThrow(UsageError);
    expect(() => read(...rows)).toThrow(message);
  });

  it('leaves out what shows two gestures at once, and says so; blinks are natural anywhere', () => {
    const rows = ['a,smile,x,1,3', 'a,turn_left,x,2,4', 'a,smile,x,6,7', 'a,turn_right,x,9,10', 'a,blink,x,6.4,6.6'];
    const { leftOut, people } = read(...rows);
    expect(leftOut.map((l) => l.line)).toEqual([2, 3, 6]);
    expect(leftOut[0]!.why).toBe('overlaps the turn_left of line 3');
    expect(people[0]!.gestures).toEqual(['turn_right', 'smile']);
    expect(() => read(...rows.slice(0, 3))).toThrow(/has smile\n {2}line 2 is left out/);
  });

  it('plays the rest before a gesture, but nothing of the one before', () => {
    const rows = ['a,smile,x,1,2', 'a,smile,x,2.5,3', 'a,turn_left,x,9,10', 'a,blink,x,20,20.2', 'a,blink,x,21,21.2', 'a,blink,x,40,40.2']; // prettier-ignore
    const { spans } = read(...rows).people[0]!;
    const cut = (action: 'smile' | 'turn_left' | 'blink') =>
      windowsOf(spans, action).map((w) => [w.fromS, w.toS].map((s) => Number(s.toFixed(2))));
    expect(cut('smile')).toEqual([
      [0, 2.15],
      [2.1, 3.15],
    ]);
    expect(cut('turn_left')).toEqual([[7.8, 10.15]]);
    // The two that follow each other are one take; the single one is not needed then.
    expect(cut('blink')).toEqual([[18.8, 21.7]]);
  });
});
