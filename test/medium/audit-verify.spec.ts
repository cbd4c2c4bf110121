import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import {
  encodeEntry,
  entryHash,
  exportCheckpoint,
  GENESIS_HASH,
  GrowingTree,
  type LogEntry,
  signCheckpoint,
  type StoredCheckpoint,
  type StoredEntry,
} from '#audit-log';
import { repositoryRoot } from '#stack';
import { Checkpointer } from '../../apps/audit/src/log/checkpointer.js';
import { LogWriter } from '../../apps/audit/src/log/log-writer.js';
import { DrainService } from '../../apps/audit/src/events/drain.service.js';
import { addUser, auditCommand, type AuditUnderTest, startAudit } from './audit-harness.js';

jest.setTimeout(120_000);

/** Where the checkpoints of this log lie. */
const SIZES = [40, 100, 140] as const;
/** What a thief rewrites. */
const FORGED_AT = 20;

interface State {
  rows: StoredEntry[];
  signed: StoredCheckpoint[];
}

/**
 * Exit codes and messages as docs/operations.md shows them: each text that is printed here stands there, letter by letter.
 */
describe('`countersign audit verify` over copies of a log (the built command line, real MongoDB)', () => {
  let audit: AuditUnderTest;
  let good: State;
  let published: string;
  beforeAll(async () => {
    audit = await startAudit({ database: 'audit_verify' });
    const log = audit.app.get(LogWriter);
    for (const [i, size] of SIZES.entries()) {
      const users = (size - (SIZES[i - 1] ?? 0)) / 4;
      const people = await Promise.all(Array.from({ length: users }, () => addUser(audit, { events: 3 })));
      for (const userId of people) await audit.app.get(DrainService).drainUser(userId);
      await log.checkpoint();
    }
    good = await read();
    published = fs.readFileSync(audit.config.AUDIT_CHECKPOINT_FILE, 'utf8');
  }, 120_000);
  afterAll(() => audit?.close());

  const entries = () => audit.collection<StoredEntry>('face_auth_events');
  const checkpoints = () => audit.collection<StoredCheckpoint>('audit_checkpoints');
  const signer = () => audit.app.get(Checkpointer).signer;
  const folder = () => path.dirname(audit.config.AUDIT_CHECKPOINT_FILE);
  async function read(): Promise<State> {
    return {
      rows: await entries()
        .find({}, { projection: { _id: 0 } })
        .sort({ seq: 1 })
        .toArray(),
      signed: await checkpoints().find().sort({ _id: 1 }).toArray(),
    };
  }
  async function put({ rows, signed }: State): Promise<void> {
    await Promise.all([entries().deleteMany({}), checkpoints().deleteMany({})]);
    await entries().insertMany(rows.map((row) => ({ ...row })));
    if (signed.length > 0) await checkpoints().insertMany(signed);
  }
  afterEach(() => put(good));

  const cli = (args: string[], env: Record<string, string> = {}) => auditCommand(audit, args, env);
  /** Days of the calendar differ from run to run. */
  const dayless = (text: string): string => text.replace(/\d{4}-\d\d-\d\d/g, 'DAY');
  const documented = dayless(fs.readFileSync(path.join(repositoryRoot(), 'docs/operations.md'), 'utf8'));
  /** Runs it, and demands that operations.md shows this very text with this exit code. */
  function shows(status: number, env: Record<string, string> = {}): string {
    const said = cli(['verify'], env);
    const block = `$ countersign audit verify; echo $?\n${said.text}${said.status}\n`;
    const shown = documented.includes(dayless(block)) ? 'in docs/operations.md' : block;
    expect({ status: said.status, shown }).toEqual({ status, shown: 'in docs/operations.md' });
    return said.text;
  }
  const rewritten = (row: StoredEntry, prevHash: string, change: Partial<LogEntry>): StoredEntry => {
    const entry = { ...(JSON.parse(row.entry) as LogEntry), ...change, prevHash };
    return { ...row, entry: encodeEntry(entry), prevHash, type: entry.type };
  };
  /** A log whose chain is sound, with another entry in it, signed at these sizes by the stolen key. */
  function forged(sizes: readonly number[]): State {
    let prevHash = GENESIS_HASH;
    const rows = good.rows.map((row) => {
      const other = rewritten(row, prevHash, row.seq === FORGED_AT ? { type: 'logout' } : {});
      prevHash = entryHash(other.entry).toString('base64url');
      return other;
    });
    return { rows, signed: signedAt(rows, sizes) };
  }
  function signedAt(rows: StoredEntry[], sizes: readonly number[]): StoredCheckpoint[] {
    const tree = new GrowingTree();
    return sizes.map((size) => {
      const leaves = rows.slice(tree.size, size).map(({ entry }) => entryHash(entry));
      for (const leaf of leaves) tree.append(leaf);
      return {
        _id: size,
        note: signCheckpoint(signer(), { origin: signer().name, size, root: tree.root() }),
        leaves: leaves.map((leaf) => leaf.toString('base64url')),
        subtrees: tree.subtrees.map((hash) => hash.toString('base64url')),
        published: true,
      };
    });
  }
  const sinkWith = (signed: StoredCheckpoint[]): Record<string, string> => {
    const file = path.join(folder(), `${randomUUID()}.jsonl`);
    fs.writeFileSync(file, published + signed.map((row) => `${exportCheckpoint(row)}\n`).join(''));
    return { AUDIT_CHECKPOINT_FILE: file };
  };

  it('a log as it was signed', () => {
    expect(shows(0)).toContain('140 entries, 3 signed checkpoints; 140 entries covered\nok\n');
  });

  it('a forked copy: both histories are signed, and both are in the file', async () => {
    const copy = forged([5, 120, 140]);
    await put(copy);
    const said = shows(1, sinkWith(copy.signed));
    expect(said).toContain(`NOT OK: first bad entry ${FORGED_AT}: the log was forked at entry ${FORGED_AT}`);
  });

  it('a forked copy whose own checkpoints the file does not have', async () => {
    const copy = forged([5, 120, 140]);
    await put(copy);
    expect(cli(['verify'])).toMatchObject({ status: 1, text: expect.stringContaining(`first bad entry ${FORGED_AT}`) as string }); // prettier-ignore
    // Without any checkpoint from outside it is a log like any other: this is what the file is for.
    const unwatched = { AUDIT_CHECKPOINT_FILE: '', NODE_ENV: 'development' };
    expect(cli(['verify'], unwatched)).toMatchObject({ status: 0, text: expect.stringContaining('WARNING') as string });
  });

  it('a copy whose forged history is not signed', async () => {
    await put({ ...forged([]), signed: good.signed });
    expect(cli(['verify'])).toMatchObject({ status: 1, text: expect.stringContaining(`first bad entry ${FORGED_AT}`) as string }); // prettier-ignore
  });

  /** Payload is gone, and a last entry, made by hand and soundly chained, says that it was pruned. */
  function withTail(days: number | null): StoredEntry[] {
    const last = good.rows.at(-1)!;
    const bare = good.rows.map((row) => (row.seq === 1 ? { ...row, payload: [] } : row));
    const own = { seq: last.seq + 1, eventId: randomUUID() };
    const tail = rewritten(
      { ...last, ...own, subject: null, payload: [] },
      entryHash(last.entry).toString('base64url'),
      {
        ...own,
        type: 'pruned',
        subjectPseudonym: null,
        sessionId: null,
        payloadCommits: [],
        range: { from: 0, to: last.seq, parts: ['address', 'origin'] },
        ...(days === null ? {} : { v: 2, detail: { days } }),
      },
    );
    return [...bare, tail];
  }

  it('a hand-made tail that says that payload was pruned: unsigned, and after audit has signed it', async () => {
    const rows = withTail(null);
    await put({ rows, signed: good.signed });
    expect(shows(1)).toContain('no erasure or prune that a checkpoint covers names it');
    const signed = signedAt(rows, [...SIZES, rows.length]);
    await put({ rows, signed });
    expect(shows(1, sinkWith(signed.slice(-1)))).toContain('is missing before its time');
  });

  it.each([0, 1, 30])('nor does one that says it went by %p days', async (days) => {
    const rows = withTail(days);
    await put({ rows, signed: good.signed });
    expect(cli(['verify']).status).toBe(1);
    const signed = signedAt(rows, [...SIZES, rows.length]);
    await put({ rows, signed });
    // By its own days nothing younger may go; with none it is a prune of everything before that very day.
    expect(cli(['verify'], sinkWith(signed.slice(-1)))).toMatchObject({ status: 1 });
  });

  it('a shorter log', async () => {
    await put({ rows: good.rows.slice(0, 120), signed: good.signed });
    expect(shows(1)).toContain('the log ends at 120 entries, 140 were signed');
  });

  it('an empty file, a missing one, and none: said loudly, and not exit 0 in production', async () => {
    const empty = path.join(folder(), 'empty.jsonl');
    fs.writeFileSync(empty, '');
    const production = { NODE_ENV: 'production' };
    expect(shows(1, { ...production, AUDIT_CHECKPOINT_FILE: empty })).toContain('EMPTY');
    expect(cli(['verify'], { ...production, AUDIT_CHECKPOINT_FILE: '' })).toMatchObject({ status: 1 });
    expect(cli(['verify'], { ...production, AUDIT_CHECKPOINT_FILE: 'stdout' })).toMatchObject({ status: 1 });
    expect(cli(['verify'], { ...production, AUDIT_CHECKPOINT_FILE: path.join(folder(), 'none') }).status).toBe(2);
    // The rows say that they were published: that the file has none of them is bad anywhere.
    expect(cli(['verify'], { AUDIT_CHECKPOINT_FILE: empty }).status).toBe(1);
    await put({ ...good, signed: good.signed.map((row) => ({ ...row, published: false })) });
    expect(cli(['verify'], { AUDIT_CHECKPOINT_FILE: empty })).toMatchObject({ status: 0, text: expect.stringContaining('EMPTY') as string }); // prettier-ignore
    expect(cli(['verify'], { ...production, AUDIT_CHECKPOINT_FILE: empty })).toMatchObject({ status: 1, text: expect.stringContaining('NOT OK: nothing outside') as string }); // prettier-ignore
  });

  it('consistency: of any two checkpoints, by size or by file, and never of two histories', async () => {
    for (const [from, to] of [
      [40, 140],
      [100, 140],
      [40, 40],
    ] as const) {
      const said = cli(['consistency', `${from}`, `${to}`]);
      expect(said).toMatchObject({ status: 0, text: expect.stringContaining(`ok: the ${to} entries begin with the same ${from}\n`) as string }); // prettier-ignore
    }
    const first = path.join(folder(), 'first.jsonl');
    fs.writeFileSync(first, `${published.split('\n')[0]}\n`);
    expect(cli(['consistency', first, '140']).status).toBe(0);
    expect(cli(['consistency', '140', '40'])).toMatchObject({ status: 2 });
    expect(cli(['consistency', '41', '140'])).toMatchObject({ status: 2, text: expect.stringContaining('no signed checkpoint of size 41') as string }); // prettier-ignore

    const copy = forged([5, 120, 140]);
    await put(copy);
    expect(cli(['consistency', '5', '120']).status).toBe(0);
    for (const [a, b] of [
      ['40', '120'],
      ['40', '140'],
      [first, '140'],
      ['100', '120'],
    ] as const)
      expect(cli(['consistency', a, b])).toMatchObject({
        status: 1,
        text: expect.stringContaining('NOT OK') as string,
      });
  });
});
