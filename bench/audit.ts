import { randomBytes, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import {
  encodeEntry,
  entryHash,
  exportCheckpoint,
  exportHeader,
  exportRecord,
  GENESIS_HASH,
  GrowingTree,
  type LogRecord,
  noteSigner,
  payloadCommit,
  signCheckpoint,
} from '#audit-log';
import { PAYLOAD_PARTS } from '#contracts';
import { verifyExport } from '../apps/cli/src/audit/sources.js';
import { measured, type Report } from './command.js';

const ENTRIES = 60_000;
const CHECKPOINT_EVERY = 256;
const ROUNDS = 5;
const BAR_PER_SECOND = 50_000;

const HELP = `npm run -s bench -- audit [--rounds N] [--json]

How many entries a second of CPU "countersign audit verify --export" reads, hashes and compares, on an export of
${ENTRIES} entries with payload. The median of the rounds is compared with ${BAR_PER_SECOND}.`;

/** T36. */
export const benchAudit = (args: string[]): Promise<boolean> =>
  measured({ name: 'audit', help: HELP, rounds: ROUNDS, measure }, args);

async function measure(rounds: number, dir: string, header: string): Promise<Report> {
  const lines = [header, ''];
  const file = path.join(dir, 'export.jsonl');
  const signer = noteSigner('bench.test/audit', randomBytes(32));
  fs.writeFileSync(file, exportOf(signer));
  const megabytes = fs.statSync(file).size / 1e6;
  lines.push(
    `${ENTRIES} entries with up to three payload parts, ${megabytes.toFixed(0)} MB, Node ${process.versions.node}`,
  );
  const rates: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const from = process.cpuUsage();
    const began = performance.now();
    const report = await verifyExport(file, signer, null, () => undefined);
    const { user, system } = process.cpuUsage(from);
    if (!report.ok || report.covered !== ENTRIES) throw new Error('the export does not verify');
    rates.push(ENTRIES / ((user + system) / 1e6));
    const seconds = (performance.now() - began) / 1000;
    lines.push(
      `round ${round + 1}: ${rates.at(-1)!.toFixed(0)} entries/s of CPU, all threads (${seconds.toFixed(2)} s elapsed)`,
    );
  }
  const median = [...rates].sort((a, b) => a - b)[Math.floor(rounds / 2)]!;
  const met = median >= BAR_PER_SECOND;
  lines.push(`median ${median.toFixed(0)} entries/s/core of CPU; bar ${BAR_PER_SECOND}: ${met ? 'met' : 'MISSED'}`);
  return { lines, json: { entries: ENTRIES, entriesPerSecond: rates, median, bar: BAR_PER_SECOND, met }, met };
}

function exportOf(signer: ReturnType<typeof noteSigner>): string {
  const records: string[] = [];
  const checkpoints: string[] = [];
  const tree = new GrowingTree();
  let prevHash = GENESIS_HASH;
  let leaves: string[] = [];
  for (let seq = 0; seq < ENTRIES; seq++) {
    const record = recordAt(seq, prevHash);
    const leaf = entryHash(record.entry);
    prevHash = leaf.toString('base64url');
    tree.append(leaf);
    leaves.push(prevHash);
    records.push(exportRecord(record));
    if (tree.size % CHECKPOINT_EVERY === 0 || tree.size === ENTRIES) {
      const note = signCheckpoint(signer, { origin: signer.name, size: tree.size, root: tree.root() });
      checkpoints.push(exportCheckpoint({ note, leaves }));
      leaves = [];
    }
  }
  return [exportHeader(signer.name), ...checkpoints, ...records, ''].join('\n');
}

/** As the service writes them: most events have an address and an origin, a third of them a similarity. */
function recordAt(seq: number, prevHash: string): LogRecord {
  const sealed = [43, 96, 40].slice(0, seq % 3 === 0 ? 3 : 2).map((bytes) => randomBytes(bytes));
  const entry = encodeEntry({
    v: 1,
    seq,
    eventId: randomUUID(),
    ts: new Date(Date.UTC(2026, 0, 1) + seq * 1_000).toISOString(),
    type: 'failed',
    actor: null,
    subjectPseudonym: randomUUID(),
    sessionId: randomUUID(),
    attemptId: randomUUID(),
    clientId: null,
    reason: 'mismatch',
    charged: true,
    modelDigest: randomBytes(32).toString('hex'),
    thresholdId: 'fmr-1e-4',
    policyVer: null,
    lockEpoch: seq % 10,
    count: null,
    range: null,
    payloadCommits: sealed.map((data, i) => ({ part: PAYLOAD_PARTS[i]!, sha256: payloadCommit(data) })),
    prevHash,
  });
  return { entry, parts: sealed.map((data) => data.toString('base64url')) };
}
