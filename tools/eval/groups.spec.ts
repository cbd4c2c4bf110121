import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Groups, groupsText, readFirstNames, readGroups, worstOf } from './groups.js';
import { sortedScores } from './statistics.js';

describe('groups', () => {
  let folder: string;
  const file = (name: string, text: string): string => {
    const at = path.join(folder, name);
    writeFileSync(at, text);
    return at;
  };
  beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), 'eval-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  it('are told a person by folder or a file, and nobody is of two', () => {
    const people = readGroups(file('g.csv', 'person,group\nAnn_A,w\nset/Ben_B,m\n'));
    expect([people('set/Ann_A'), people('set/Ben_B'), people('Ben_B'), people('set/Cas_C')]).toEqual(['w', 'm', undefined, undefined]); // prettier-ignore
    expect(readGroups(file('f.csv', 'file,group\nset/Ann_A/1.jpg,w\nset/Ann_A/2.jpg,w\n'))('set/Ann_A')).toBe('w');
    expect(() => readGroups(file('two.csv', 'person,group\na,w\na,m\n'))).toThrow('two.csv:3: a is of the groups w and m'); // prettier-ignore
    expect(() => readGroups(file('no.csv', 'group\nw\n'))).toThrow('no.csv:2: neither a person nor a file');
    expect(() => readGroups(file('none.csv', 'person,group\n'))).toThrow('none.csv: no groups');
  });

  it('by first name are those that one list is sure of and none contradicts', () => {
    const one = file('one.csv', 'name,group\nann,w\nben,m\nkim,w\nkim,m\nmike,w\n');
    const other = file('other.csv', 'name,group\nBen,m\nKim,m\nMike,m\nAnn,w\nAnn,m\n');
    const groupOf = readFirstNames([one, other]);
    const asked = ['set/Ann_Other', 'Ben_Some', 'Kim_P', 'Mike_X', 'Zoe_Y'];
    expect(asked.map(groupOf)).toEqual(['w', 'm', 'm', undefined, undefined]);
  });

  it('have the rates of comparisons inside of them; the worst that can be measured sets the threshold', () => {
    const groups = new Groups((p) => (p === 'nobody' ? undefined : p[0]), 'by the first letter');
    const scores: number[] = [];
    const add = (a: string, b: string, score: number): void => {
      scores.push(score);
      groups.add(a, b, false, score);
    };
    // Of 1,000 comparisons inside group w 11 are false ones at 0.9, of 1,000 inside m none; x has too few.
    for (let i = 0; i < 1_000; i++) add('w1', 'w2', i < 11 ? 0.9 : 0.1);
    for (let i = 0; i < 1_000; i++) add('m1', 'm2', 0.2);
    for (let i = 0; i < 5; i++) add('x1', 'x2', 0.99);
    for (let i = 0; i < 994; i++) add('w1', 'm1', 0.1);
    add('w1', 'nobody', 0.95);
    groups.add('w1', 'w1', true, 0.8);
    const told = groupsText(groups, sortedScores([0.8], scores), 0.5, 0.01);
    expect(told.figures).toMatchObject([
      { group: 'm', people: 2, falseMatch: { count: 0, n: 1_000 }, threshold: 0.20001, isMeasurable: true },
      { group: 'w', people: 2, falseMatch: { count: 11, n: 1_000 }, falseNonMatch: { count: 0, n: 1 } },
      { group: 'x', people: 2, falseMatch: { count: 5, n: 5 }, isMeasurable: false },
    ]);
    expect(told.worst).toMatchObject({ group: 'w', threshold: 0.90001, isMeasurable: true });
    expect(told.paragraphs[0]).toContain('Labels: by the first letter. 1 people are in no group.');
    expect(told.notes[0]).toContain('of all people 100.00 % (1 of 1;');
    expect(told.table.rows[1]!.join(' ')).toContain('33.33 %, 64.71 %');
    expect(worstOf(groups.figuresAt(0.5, 0.009))).toBeNull();
  });

  it('are refused without a word on how they were labelled', () => {
    const g = file('g.csv', 'person,group\na,w\n');
    expect(() => Groups.from({ groups: g })).toThrow('--labelled');
    expect(() => Groups.from({ labelled: 'by eye' })).toThrow('--labelled is for --groups');
    expect(() => Groups.from({ groups: g, 'first-names': g, labelled: 'x' })).toThrow('not both');
    expect(Groups.from({})).toBeNull();
    expect(Groups.from({ groups: g, labelled: 'by eye' })?.labelled).toBe('by eye');
  });
});
