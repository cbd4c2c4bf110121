import { createHash } from 'node:crypto';
import fc from 'fast-check';
import type { PayloadPart } from '#contracts';
import { encodeEntry, entryHash, GENESIS_HASH, type LogEntry, payloadCommit } from './entry.js';
import { GrowingTree, rootOf } from './merkle.js';
import { noteSigner, openCheckpoint, signCheckpoint } from './note.js';
import {
  type CheckpointRecord,
  exportRecord,
  type LogRecord,
  readCheckpointLine,
  readExportLine,
  type StoredCheckpoint,
} from './records.js';
import type { CheckpointSources } from './signed-branches.js';
import { LogVerifier, type VerifyReport } from './verify.js';

const SIZE = 128;
/** `npm run nightly -- --only T34` makes ten thousand. */
const CHANGES_RUN = Number(process.env.LOG_CHANGES ?? '1000');
/** When all entries are past every retention. */
const LATER = '2028-11-24T00:00:00.000Z';
const signer = noteSigner('log.test/audit', Buffer.alloc(32, 9));
const bytes = (text: string): Buffer => createHash('sha512').update(text).digest();

const PARTS: readonly PayloadPart[] = ['address', 'origin', 'similarity'];

function entry(seq: number, prevHash: string, o: Partial<LogEntry> = {}): LogRecord {
  const data = PARTS.map((part) => bytes(`${part} ${seq}`)).slice(0, seq % 4);
  const fields: LogEntry = {
    v: 1,
    seq,
    eventId: `00000000-0000-4000-8000-${String(seq).padStart(12, '0')}`,
    ts: new Date(Date.UTC(2026, 10, 23) + seq).toISOString(),
    type: 'failed',
    actor: null,
    subjectPseudonym: seq % 5 === 0 ? null : `p${seq % 7}`,
    sessionId: null,
    attemptId: null,
    clientId: null,
    reason: 'mismatch',
    charged: true,
    modelDigest: 'sha256-x',
    thresholdId: 't1',
    policyVer: null,
    lockEpoch: seq % 3,
    count: null,
    range: null,
    payloadCommits: data.map((ciphertext, i) => ({ part: PARTS[i]!, sha256: payloadCommit(ciphertext) })),
    prevHash,
    ...o,
  };
  return { entry: encodeEntry(fields), parts: data.map((ciphertext) => ciphertext.toString('base64url')) };
}

function chain(size: number, change: Record<number, Partial<LogEntry>> = {}): LogRecord[] {
  const records: LogRecord[] = [];
  let prevHash = GENESIS_HASH;
  for (let seq = 0; seq < size; seq++) {
    const record = entry(seq, prevHash, change[seq]);
    records.push(record);
    prevHash = entryHash(record.entry).toString('base64url');
  }
  return records;
}

function checkpointsOf(records: LogRecord[], ...sizes: number[]): CheckpointRecord[] {
  const leaves = records.map((record) => entryHash(record.entry));
  return sizes.map((size, i) => ({
    note: signCheckpoint(signer, { origin: signer.name, size, root: rootOf(leaves.slice(0, size)) }),
    leaves: leaves.slice(sizes[i - 1] ?? 0, size).map((leaf) => leaf.toString('base64url')),
  }));
}

function verify(
  records: LogRecord[],
  inside: CheckpointSources['inside'],
  outside: CheckpointRecord[] | null = null,
): VerifyReport {
  const verifier = new LogVerifier(signer, { inside, outside });
  for (const record of records) verifier.add(record);
  return verifier.finish();
}

const good = chain(SIZE);
const checkpoints = checkpointsOf(good, SIZE);
const seqOf = (record: LogRecord): number => (JSON.parse(record.entry) as LogEntry).seq;

/** Changes one byte of a text to another; what is no UTF-8 any more becomes a replacement character, as in a reader. */
function flip(text: string, at: number, bit: number): string {
  const raw = Buffer.from(text);
  raw[at % raw.length] = raw[at % raw.length]! ^ (1 << bit);
  return raw.toString('utf8');
}

interface Tampered {
  records: LogRecord[];
  checkpoints: CheckpointRecord[];
  /** The first entry that is not what it was; null: the checkpoint is what was altered. */
  bad: number | null;
}
type Draw = Record<'at' | 'to' | 'byte' | 'bit', number>;

const withPayload = good.filter((record) => record.parts.length > 0);

const MUTATIONS: Record<string, (d: Draw) => Tampered> = {
  'flip a byte of an entry': ({ at, byte, bit }) => {
    const records = [...good];
    records[at] = { ...good[at]!, entry: flip(good[at]!.entry, byte, bit) };
    return { records, checkpoints, bad: at };
  },
  'flip a byte of a payload': ({ at, byte, bit }) => {
    const bad = seqOf(withPayload[at % withPayload.length]!);
    const parts = [...good[bad]!.parts];
    parts[byte % parts.length] = flip(parts[byte % parts.length]!, byte, bit);
    const records = good.map((record, seq) => (seq === bad ? { ...record, parts } : record));
    return { records, checkpoints, bad };
  },
  'delete a payload': ({ at, byte }) => {
    const bad = seqOf(withPayload[at % withPayload.length]!);
    const parts = good[bad]!.parts.map((part, i, all) => (i === byte % all.length ? null : part));
    return { records: good.map((record, seq) => (seq === bad ? { ...record, parts } : record)), checkpoints, bad };
  },
  'drop an entry': ({ at }) => ({ records: good.filter((_, seq) => seq !== at), checkpoints, bad: at }),
  'drop the tail': ({ at }) => ({ records: good.slice(0, at), checkpoints, bad: at }),
  'swap two entries': ({ at, to }) => {
    const other = to === at ? (at + 1) % SIZE : to;
    const records = [...good];
    [records[at], records[other]] = [good[other]!, good[at]!];
    return { records, checkpoints, bad: Math.min(at, other) };
  },
  'insert a copy': ({ at, to }) => ({
    records: good.toSpliced(at, 0, good[to]!),
    checkpoints,
    bad: insertedAt(at, to),
  }),
  'insert a well made entry': ({ at }) => {
    const inserted = entry(at, (JSON.parse(good[at]!.entry) as LogEntry).prevHash, { type: 'unlocked' });
    return { records: good.toSpliced(at, 0, inserted), checkpoints, bad: at };
  },
  'fork: rewrite all from one entry on, soundly chained': ({ at }) => ({
    records: chain(SIZE, { [at]: { type: 'success' } }),
    checkpoints,
    bad: at,
  }),
  'edit a checkpoint': ({ byte, bit, to }) => {
    const [checkpoint] = checkpoints as [CheckpointRecord];
    const leaves = checkpoint.leaves.map((leaf, i) => (i === to ? flip(leaf, byte, bit) : leaf));
    const edited = byte % 2 ? { ...checkpoint, leaves } : { ...checkpoint, note: flip(checkpoint.note, byte, bit) };
    return { records: good, checkpoints: [edited], bad: null };
  },
};
/** A copy of an entry before itself is first bad at its second appearance. */
const insertedAt = (at: number, to: number): number => (at === to ? at + 1 : at);

describe('verifying the log', () => {
  it('finds nothing in a log as it was signed, covers what a checkpoint covers and says how far that is', () => {
    expect(verify(good, checkpoints)).toEqual({
      ok: true, entries: 128, covered: 128, checkpoints: 1, unpublished: 0, eras: [], erasedParts: 0, problems: [],
      first: null,
    }); // prettier-ignore
    expect(verify(chain(140), checkpointsOf(good, 60, 128))).toMatchObject({ ok: true, entries: 140, covered: 128 });
    expect(verify([], [])).toMatchObject({ ok: true, entries: 0, covered: 0 });
  });

  it('T34: detects 10,000 of 10,000 mutations of a chain of 128 and names the first bad entry', () => {
    const found: Record<string, number> = {};
    const index = fc.nat(SIZE - 1);
    const draw = fc.record({ at: index, to: index, byte: fc.nat(1_000_000), bit: fc.nat(7) });
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(MUTATIONS)), draw, (name, d) => {
        const tampered = MUTATIONS[name]!(d);
        const report = verify(tampered.records, tampered.checkpoints);
        expect({ name, d, ok: report.ok, bad: report.first?.seq }).toEqual({ name, d, ok: false, bad: tampered.bad });
        found[name] = (found[name] ?? 0) + 1;
      }),
      { numRuns: 10_000 },
    );
    expect(Object.keys(found)).toHaveLength(Object.keys(MUTATIONS).length);
    expect(Object.values(found).reduce((a, b) => a + b)).toBe(10_000);
  }, 300_000);

  it('detects the same with the note alone, without the leaves beside it', () => {
    const bare = checkpoints.map((checkpoint) => ({ ...checkpoint, leaves: [] }));
    const index = fc.nat(SIZE - 1);
    const draw = fc.record({ at: index, to: index, byte: fc.nat(1_000_000), bit: fc.nat(7) });
    const names = Object.keys(MUTATIONS).filter((name) => name !== 'edit a checkpoint');
    fc.assert(
      fc.property(fc.constantFrom(...names), draw, (name, d) => {
        const report = verify(MUTATIONS[name]!(d).records, bare);
        expect({ name, d, ok: report.ok, named: report.first?.seq }).toMatchObject({ ok: false, named: expect.any(Number) as number }); // prettier-ignore
      }),
      { numRuns: 1_000 },
    );
    for (const at of [0, 1, 60, 126]) {
      const records = good.map((record, seq) => (seq === at ? { ...record, entry: record.entry.replace('"mismatch"', '"spoof"') } : record)); // prettier-ignore
      expect(verify(records, bare).first?.seq).toBe(at);
    }
  }, 300_000);

  it('takes a missing payload for what it is: erased, pruned, or destroyed', () => {
    const erasing = { type: 'erasure_completed', subjectPseudonym: 'p1', range: { from: 0, to: 99, parts: [...PARTS] } } as const; // prettier-ignore
    const pruning = {
      type: 'pruned',
      ts: LATER,
      subjectPseudonym: null,
      range: { from: 0, to: 49, parts: ['address'] },
    } as const;
    const all = chain(104, { 100: { ...erasing, range: { ...erasing.range, parts: [...PARTS] } }, 101: { ...pruning, range: { ...pruning.range, parts: ['address'] } } }); // prettier-ignore
    const signed = checkpointsOf(all, 104);
    const without = (test: (e: LogEntry, part: PayloadPart) => boolean): LogRecord[] =>
      all.map((record) => {
        const e = JSON.parse(record.entry) as LogEntry;
        return { ...record, parts: record.parts.map((data, i) => (test(e, PARTS[i]!) ? null : data)) };
      });
    const erased = verify(
      without((e) => e.subjectPseudonym === 'p1' && e.seq < 100),
      signed,
    );
    expect(erased).toMatchObject({ ok: true, problems: [] });
    expect(erased.erasedParts).toBeGreaterThan(10);
    expect(
      verify(
        without((e, part) => part === 'address' && e.seq < 50),
        signed,
      ),
    ).toMatchObject({ ok: true });
    expect(verify(without((e, part) => part === 'address' && e.seq === 51), signed).first).toMatchObject({ seq: 51, kind: 'payload_missing' }); // prettier-ignore
    expect(
      verify(
        without((e, part) => part === 'origin' && e.seq === 2),
        signed,
      ).first,
    ).toMatchObject({ seq: 2 });
    expect(
      verify(
        without((e) => e.seq === 102),
        signed,
      ).first,
    ).toMatchObject({ seq: 102, kind: 'payload_missing' });
  });

  it('takes no entry for leave to remove what comes after it', () => {
    const range = { from: 0, to: 80, parts: ['origin' as const] };
    const all = chain(104, { 60: { type: 'pruned', subjectPseudonym: null, range } });
    const signed = checkpointsOf(all, 104);
    const bare = all.map((record, seq) => (seq === 70 ? { ...record, parts: record.parts.map(() => null) } : record));
    expect(verify(bare, signed).problems).toMatchObject([
      { seq: 60, kind: 'range_invalid' },
      { seq: 70, kind: 'payload_missing' },
      { seq: 70, kind: 'payload_missing' },
    ]);
  });

  it('knows of many prunes which went how far', () => {
    const days = [10, 20, 21, 40, 60, 90];
    const prune = (from: number, to: number): Partial<LogEntry> => ({ type: 'pruned', ts: LATER, subjectPseudonym: null, range: { from, to, parts: ['address'] } }); // prettier-ignore
    const all = chain(120, Object.fromEntries(days.map((to, i) => [100 + i, prune(i === 4 ? 45 : (days[i - 1] ?? 0), to)]))); // prettier-ignore
    const bare = all.map((record, seq) => (seq < 100 && seq % 4 > 0 ? { ...record, parts: [null, ...record.parts.slice(1)] } : record)); // prettier-ignore
    const report = verify(bare, checkpointsOf(all, 120));
    const missing = Array.from({ length: 100 }, (_, seq) => seq).filter((seq) => seq % 4 > 0 && (seq > 90 || (seq > 40 && seq < 45))); // prettier-ignore
    expect(report.problems.map(({ seq }) => seq)).toEqual(missing);
  });

  it('core 5: an entry that no checkpoint covers explains nothing', () => {
    for (const o of [
      { type: 'pruned', ts: LATER, subjectPseudonym: null, range: { from: 0, to: 127, parts: [...PARTS] } },
      { type: 'erasure_completed', subjectPseudonym: 'p1', range: { from: 0, to: 127, parts: [...PARTS] } },
    ] as const) {
      const all = chain(SIZE + 1, { [SIZE]: { ...o, range: { ...o.range, parts: [...PARTS] } } });
      const bare = all.map((record, seq) => (seq < SIZE && seq % 7 === 1 ? { ...record, parts: record.parts.map(() => null) } : record)); // prettier-ignore
      expect(verify(bare, checkpointsOf(all, SIZE)).first).toMatchObject({ seq: 1, kind: 'payload_missing' });
      // p1, and for a prune everybody: once it is signed it counts for those that it names.
      expect(verify(bare, checkpointsOf(all, SIZE, SIZE + 1)).problems.filter(({ seq }) => seq! % 35 !== 15 && seq! % 5 > 0)).toEqual([]); // prettier-ignore
    }
  });

  it('core 5: a prune counts only for what was old enough by the days that it went by', () => {
    const range = { from: 0, to: 99, parts: ['address' as const] };
    const bareUpTo = (at: Partial<LogEntry>): VerifyReport => {
      const all = chain(SIZE, { 100: { type: 'pruned', subjectPseudonym: null, range, ...at } });
      const bare = all.map((record, seq) => (seq === 9 ? { ...record, parts: [null, ...record.parts.slice(1)] } : record)); // prettier-ignore
      return verify(bare, checkpointsOf(all, SIZE));
    };
    const said = { v: 2, detail: { days: 10 } } as const;
    expect(bareUpTo({ ts: '2026-12-23T00:00:00.000Z' }).first).toMatchObject({ seq: 9, kind: 'pruned_early' });
    expect(bareUpTo({ ts: '2026-12-24T00:00:00.000Z' })).toMatchObject({ ok: true, erasedParts: 1 });
    expect(bareUpTo({ ts: '2026-12-03T00:00:00.000Z', ...said }).first).toMatchObject({ seq: 9, kind: 'pruned_early' });
    expect(bareUpTo({ ts: '2026-12-04T00:00:00.000Z', ...said })).toMatchObject({ ok: true });
    expect(bareUpTo({ ts: LATER, v: 2, detail: { days: 0 } })).toMatchObject({ ok: true });
    expect(bareUpTo({ v: 2, detail: { days: 0 } }).first).toMatchObject({ seq: 9, kind: 'pruned_early' });
  });

  it('sees two signed checkpoints of one size that differ', () => {
    const fork = checkpointsOf(chain(SIZE, { 3: { type: 'success' } }), SIZE);
    expect(verify(good, [...checkpoints, ...fork]).first).toMatchObject({ seq: 3, kind: 'forked' });
  });

  describe('core 4: every signed root is compared, inside the database and outside', () => {
    const sizes = [37, 80, 128] as const;
    const line = checkpointsOf(good, ...sizes);
    const stored = (records: readonly CheckpointRecord[], own: readonly number[]): StoredCheckpoint[] =>
      records.map((record, i) => ({ ...record, _id: own[i]!, subtrees: [], published: true })).map(withSubtrees);
    const withSubtrees = (row: StoredCheckpoint, i: number, all: StoredCheckpoint[]): StoredCheckpoint => {
      const tree = new GrowingTree();
      for (const { leaves } of all.slice(0, i + 1))
        for (const leaf of leaves) tree.append(Buffer.from(leaf, 'base64url'));
      return { ...row, subtrees: tree.subtrees.map((hash) => hash.toString('base64url')) };
    };
    const rows = stored(line, sizes);

    it('finds nothing in a sound log, and says what waits to be published', () => {
      expect(verify(good, rows, line)).toMatchObject({ ok: true, covered: 128, checkpoints: 3, unpublished: 0 });
      const waiting = rows.map((row, i) => (i === 2 ? { ...row, published: false } : row));
      expect(verify(good, waiting, line.slice(0, 2))).toMatchObject({ ok: true, covered: 128, unpublished: 1 });
    });

    it('A1 of the review: both histories in the file, of other sizes, and the forged one in the database', () => {
      const forged = chain(140, { 20: { type: 'success' }, 60: { type: 'success' } });
      const signed = checkpointsOf(forged, 5, 101, 140);
      const report = verify(forged, stored(signed, [5, 101, 140]), [...line, ...signed]);
      expect(report).toMatchObject({ ok: false, first: { seq: 20, kind: 'forked' } });
      expect(report.first?.detail).toMatch(/size 37 \(outside the database\).*size 101/);
      for (const size of sizes) expect(JSON.stringify(report.problems)).toContain(`size ${size} (outside`);
    });

    it('names a log that is shorter, and one that ends before what was published', () => {
      expect(verify(good.slice(0, 100), rows.slice(0, 2), line).problems).toMatchObject([
        { kind: 'checkpoint_missing', detail: expect.stringContaining('size 128') as string },
        { seq: 100, kind: 'missing', detail: 'the log ends at 100 entries, 128 were signed' },
      ]);
    });

    it('an era that a checkpoint covers leaves behind what it names, and nothing else', () => {
      const last = { size: 128, root: openCheckpoint(signer, line[2]!.note)!.root.toString('base64') };
      const era: Partial<LogEntry> = { v: 2, type: 'era_opened', subjectPseudonym: null, detail: { ...last, reason: 'restored' } }; // prettier-ignore
      const restored = chain(100, { 90: era, 95: { type: 'success' } });
      const signed = checkpointsOf(restored, 37, 80, 100);
      const outside = [...line, signed[2]!];
      expect(verify(restored, stored(signed, [37, 80, 100]), outside)).toMatchObject({
        ok: true, covered: 100, eras: [{ seq: 90, size: 128, reason: 'restored', sizes: [128] }],
      }); // prettier-ignore
      const other = chain(100, { 90: { ...era, detail: { ...last, root: 'x' } } });
      const of = checkpointsOf(other, 37, 80, 100);
      expect(verify(other, stored(of, [37, 80, 100]), [...line, of[2]!]).first).toMatchObject({ kind: 'missing' });
      // Not yet signed: an entry that anybody may have put there.
      expect(verify(restored, stored(signed.slice(0, 2), [37, 80]), line).first).toMatchObject({
        seq: 90,
        kind: 'altered',
      });
    });

    type Change = (d: Draw) => { records?: LogRecord[]; inside?: StoredCheckpoint[]; outside?: CheckpointRecord[]; named?: number }; // prettier-ignore
    const replaced = <T>(list: readonly T[], at: number, by: (one: T) => T): T[] =>
      list.map((one, i) => (i === at % list.length ? by(one) : one));
    /** What a thief of the checkpoint key makes of the log: all from one entry on is other, and all is signed anew. */
    const forge = ({ at, to }: Draw): { records: LogRecord[]; signed: CheckpointRecord[]; own: number[] } => {
      const records = chain(SIZE, { [at]: { type: 'success' } });
      const own = [...new Set([1 + (to % 127), 128])];
      return { records, signed: checkpointsOf(records, ...own), own };
    };
    const CHANGES: Record<string, Change> = {
      ...Object.fromEntries(
        Object.entries(MUTATIONS).filter(([name]) => name !== 'edit a checkpoint').map(([name, mutate]) => [
          name, (d) => { const { records, bad } = mutate(d); return { records, named: bad! }; },
        ] as const),
      ),
      'a sink line: a byte of its note': ({ at, byte, bit }) => ({ outside: replaced(line, at, (c) => ({ ...c, note: flip(c.note, byte, bit) })) }),
      'a sink line: a byte of its leaves': ({ at, to, byte, bit }) => ({ outside: replaced(line, at, (c) => ({ ...c, leaves: replaced(c.leaves, to, (leaf) => flip(leaf, byte, bit)) })) }),
      'a sink line: its leaves go': ({ at }) => ({ outside: replaced(line, at, (c) => ({ ...c, leaves: [] })) }),
      'a sink line goes': ({ at }) => ({ outside: line.toSpliced(at % 3, 1) }),
      'a row: a byte of its note': ({ at, byte, bit }) => ({ inside: replaced(rows, at, (c) => ({ ...c, note: flip(c.note, byte, bit) })) }),
      'a row: a byte of its leaves': ({ at, to, byte, bit }) => ({ inside: replaced(rows, at, (c) => ({ ...c, leaves: replaced(c.leaves, to, (leaf) => flip(leaf, byte, bit)) })) }),
      'a row: its subtrees': ({ at, to, byte, bit }) => ({ inside: replaced(rows, at, (c) => ({ ...c, subtrees: replaced(c.subtrees, to, (hash) => flip(hash, byte, bit)) })) }),
      'a row: its size': ({ at, to }) => ({ inside: replaced(rows, at, (c) => ({ ...c, _id: c._id + 1 + to })) }),
      'a row: says that it waits, before the last': ({ at }) => ({ inside: replaced(rows.slice(0, 2), at, (c) => ({ ...c, published: false })).concat(rows[2]!), outside: line.toSpliced(at % 2, 1) }),
      'a row goes': ({ at }) => ({ inside: rows.toSpliced(at % 3, 1) }),
      'a row that nobody published': ({ to }) => {
        const own = 1 + (to % 126);
        const extra = own === 37 || own === 80 ? own + 1 : own;
        return { inside: [...rows, ...stored(checkpointsOf(good, extra), [extra])] };
      },
      'stolen key: the database is another log, the file is honest': (d) => {
        const { records, signed, own } = forge(d);
        return { records, inside: stored(signed, own), named: d.at };
      },
      'stolen key: both histories are in the file': (d) => {
        const { records, signed, own } = forge(d);
        return { records, inside: stored(signed, own), outside: [...line, ...signed], named: d.at };
      },
      'stolen key: the honest log, and a forged line in the file': (d) => ({ outside: [...line, forge(d).signed[0]!, forge(d).signed.at(-1)!] }),
    }; // prettier-ignore

    it(`T34: all of ${CHANGES_RUN} changes of a row, a checkpoint or a line of the file are named`, () => {
      const found: Record<string, number> = {};
      const index = fc.nat(SIZE - 1);
      const draw = fc.record({ at: index, to: index, byte: fc.nat(1_000_000), bit: fc.nat(7) });
      fc.assert(
        fc.property(fc.constantFrom(...Object.keys(CHANGES)), draw, (name, d) => {
          const { records = good, inside = rows, outside = line, named } = CHANGES[name]!(d);
          const { ok, first, problems } = verify(records, inside, outside);
          expect({ name, d, ok, problems: problems.length > 0 }).toEqual({ name, d, ok: false, problems: true });
          if (named !== undefined) expect({ name, d, bad: first?.seq }).toEqual({ name, d, bad: named });
          found[name] = (found[name] ?? 0) + 1;
        }),
        { numRuns: CHANGES_RUN },
      );
      expect(Object.keys(found)).toHaveLength(Object.keys(CHANGES).length);
    }, 600_000);
  });

  it('is exported and read again byte for byte', () => {
    for (const record of good) {
      expect(readExportLine(exportRecord(record))).toEqual({ kind: 'record', record });
      expect(JSON.parse(exportRecord(record))).toBeDefined();
    }
    expect(readCheckpointLine(JSON.stringify(checkpoints[0]))).toEqual(checkpoints[0]);
    for (const bad of ['', '[', '[]', '[1', '{}', 'null', '{"note":1}', '[{},[1]]']) {
      expect(readExportLine(bad)).toBeNull();
    }
  });
});
