import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { numberOf, parseCsv } from './csv.js';
import { foldedAccuracy, foldsOf, type Pair, personOf, readPairs } from './pairs.js';
import { withSection } from './report.js';
import { seededRandom } from './statistics.js';

describe('CSV', () => {
  const parse = (text: string) => parseCsv(text, 'list.csv', ['file', 'event'], ['note']);

  it('takes quotes, CRLF, a byte order mark, spaces and empty lines', () => {
    expect(parse('\uFEFFfile,event\r\n"a, ""b"".jpg", blink\r\n\r\nc.jpg,"two\nlines"\n')).toEqual([
      { line: 2, values: { file: 'a, "b".jpg', event: 'blink' } },
      { line: 4, values: { file: 'c.jpg', event: 'two\nlines' } },
    ]);
  });

  it.each([
    ['', 'list.csv: empty'],
    ['file\na\n', 'list.csv:1: no column "event"'],
    ['file,event,more\n', 'list.csv:1: unknown column "more"'],
    ['file,event,file\n', 'list.csv:1: column "file" twice'],
    ['file,event\na,b\n\nc\n', 'list.csv:4: 1 values, not 2'],
    ['file,event\na,b,c\n', 'list.csv:2: 3 values, not 2'],
    ['file,event\na,b\n,b\n', 'list.csv:3: "file" is empty'],
    ['file,event\na,b\n"c,d\n', 'list.csv:3: a quote is not closed'],
  ])('names the line of what is wrong: %j', (text, message) => {
    expect(() => parse(text)).toThrow(message);
  });

  it('names the line of what is no number', () => {
    const [row] = parse('file,event\na,x\n');
    expect(() => numberOf(row!, 'event', 'list.csv')).toThrow('list.csv:2: "event" is not a number: x');
  });
});

describe('pairs', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), 'eval-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  it('are read with their line told where one is wrong', () => {
    const file = path.join(folder, 'p.csv');
    writeFileSync(file, 'fileA,fileB,same\na/1.jpg,a/2.jpg,1\na/1.jpg,b/1.jpg,0\n');
    expect(readPairs(file)).toEqual([
      { fileA: 'a/1.jpg', fileB: 'a/2.jpg', same: true },
      { fileA: 'a/1.jpg', fileB: 'b/1.jpg', same: false },
    ]);
    writeFileSync(file, 'fileA,fileB,same\na/1.jpg,a/2.jpg,1\na/1.jpg,b/1.jpg,perhaps\n');
    expect(() => readPairs(file)).toThrow('p.csv:3: "same" is not 0 or 1: perhaps');
    expect(() => readPairs(path.join(folder, 'none.csv'))).toThrow('cannot be read');
  });

  const random = seededRandom(9);
  const someone = (): string => `set/p${Math.floor(random() * 60)}/${Math.floor(random() * 5)}.jpg`;
  const pairs: Pair[] = Array.from({ length: 900 }, (_, i) => {
    const fileA = someone();
    const fileB = i % 2 ? someone() : `${personOf(fileA)}/x.jpg`;
    return { fileA, fileB, same: personOf(fileA) === personOf(fileB) };
  });
  const peopleOf = (indices: number[]): Set<string> =>
    new Set(indices.flatMap((i) => [personOf(pairs[i]!.fileA), personOf(pairs[i]!.fileB)]));

  it('fall into folds without a person on both sides', () => {
    const folds = foldsOf(pairs, 10, 1);
    expect(folds).toHaveLength(10);
    const tested = new Set<number>();
    for (const { test, train } of folds) {
      const trained = peopleOf(train);
      for (const person of peopleOf(test)) expect(trained.has(person)).toBe(false);
      for (const i of test) {
        expect(tested.has(i)).toBe(false);
        tested.add(i);
      }
    }
    for (const [i, p] of pairs.entries()) if (p.same) expect(tested.has(i)).toBe(true);
    expect(foldsOf(pairs, 10, 1)).toEqual(folds);
    expect(foldsOf(pairs, 10, 2)).not.toEqual(folds);
  });

  it('keep the folds they come with', () => {
    const given = pairs.slice(0, 6).map((p, i) => ({ ...p, fold: `${i % 2}` }));
    expect(foldsOf(given, 10, 1)).toEqual([
      { test: [0, 2, 4], train: [1, 3, 5] },
      { test: [1, 3, 5], train: [0, 2, 4] },
    ]);
  });

  it('are decided by thresholds from other folds', () => {
    const scores = pairs.map((p) => (p.same ? 0.8 : 0.1));
    expect(foldedAccuracy(pairs, scores, foldsOf(pairs, 10, 1))).toMatchObject({ accuracy: 1, standardError: 0 });
    // A fold whose genuine pairs all score low cannot lower its own threshold.
    const folds = foldsOf(pairs, 10, 1);
    for (const i of folds[0]!.test) scores[i] = 0.1;
    const lost = folds[0]!.test.filter((i) => pairs[i]!.same).length / folds[0]!.test.length;
    expect(foldedAccuracy(pairs, scores, folds).accuracy).toBeCloseTo(1 - lost / 10, 12);
  });
});

it('a section of the accuracy page replaces the one of the same title and leaves the others', () => {
  const head = { command: 'eval match', date: '2026-01-01', modelDigest: 'abcdef0123456789' };
  const one = withSection('# Accuracy\n', { ...head, title: 'one' }, { paragraphs: ['first'] });
  const two = withSection(one, { ...head, title: 'two' }, { paragraphs: ['second'] });
  const again = withSection(two, { ...head, title: 'one' }, { paragraphs: ['third'], notes: ['n'] });
  expect(again).not.toContain('\nfirst\n');
  expect(again.indexOf('third')).toBeLessThan(again.indexOf('second'));
  expect(withSection(again, { ...head, title: 'two' }, { paragraphs: ['second'] })).toBe(again);
});

it('the preface of the accuracy page is that of this version, whatever the file began with', () => {
  const head = { title: 'one', command: 'eval match', date: '2026-01-01', modelDigest: 'abcdef0123456789' };
  const old = '# Accuracy\n\nSaid differently.\n\n<!-- eval:begin one -->\n\nx\n<!-- eval:end one -->\n';
  const page = withSection(old, head, { paragraphs: ['first'] });
  expect(page).not.toContain('Said differently');
  expect(page).toContain('People held out');
  expect(page).toContain('first');
  expect(withSection(page, head, { paragraphs: ['first'] })).toBe(page);
  expect(withSection('# Mine\n', head, { paragraphs: ['first'] })).toMatch(/^# Mine\n/);
});
