import { createHash } from 'node:crypto';
import fc from 'fast-check';
import type { PayloadPart } from '#contracts';
import { encodeEntry, entryHash, GENESIS_HASH, type LogEntry, payloadCommit } from './entry.js';
import { rootOf } from './merkle.js';
import { noteSigner, signCheckpoint } from './note.js';
import { type CheckpointRecord, exportRecord, type LogRecord, readCheckpointLine, readExportLine } from './records.js';
import { LogVerifier, type VerifyReport } from './verify.js';

const SIZE = 128;
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

function verify(records: LogRecord[], checkpoints: CheckpointRecord[]): VerifyReport {
  const verifier = new LogVerifier(signer, checkpoints);
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
      ok: true, entries: 128, covered: 128, checkpoints: 1, erasedParts: 0, problems: [], first: null,
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
    const pruning = { type: 'pruned', subjectPseudonym: null, range: { from: 0, to: 49, parts: ['address'] } } as const;
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
    const prune = (from: number, to: number): Partial<LogEntry> => ({ type: 'pruned', subjectPseudonym: null, range: { from, to, parts: ['address'] } }); // prettier-ignore
    const all = chain(120, Object.fromEntries(days.map((to, i) => [100 + i, prune(i === 4 ? 45 : (days[i - 1] ?? 0), to)]))); // prettier-ignore
    const bare = all.map((record, seq) => (seq < 100 && seq % 4 > 0 ? { ...record, parts: [null, ...record.parts.slice(1)] } : record)); // prettier-ignore
    const report = verify(bare, checkpointsOf(all, 120));
    const missing = Array.from({ length: 100 }, (_, seq) => seq).filter((seq) => seq % 4 > 0 && (seq > 90 || (seq > 40 && seq < 45))); // prettier-ignore
    expect(report.problems.map(({ seq }) => seq)).toEqual(missing);
  });

  it('sees two signed checkpoints of one size that differ', () => {
    const fork = checkpointsOf(chain(SIZE, { 3: { type: 'success' } }), SIZE);
    expect(verify(good, [...checkpoints, ...fork]).problems[0]).toMatchObject({ kind: 'checkpoint_invalid' });
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
