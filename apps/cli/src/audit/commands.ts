import fs from 'node:fs';
import type { Command } from 'commander';
import { z } from 'zod';
import {
  consistencyProof,
  decodeEntry,
  entryHash,
  exportCheckpoint,
  exportHeader,
  exportRecord,
  inclusionProof,
  isIncluded,
  type NoteVerifier,
  noteVerifier,
  openCheckpoint,
  recordOf,
  rootOf,
  type StoredCheckpoint,
  type VerifyReport,
} from '#audit-log';
import { env, parseEnv } from '#config';
import { CommandError, type CommandGroup, EXIT, type Io } from '../command.js';
import { LogRepository } from './log.repository.js';
import { readCheckpointFile, verifyExport, verifyStored } from './sources.js';

interface Options {
  json?: boolean;
  vkey?: string;
  checkpoints?: string;
  export?: string;
  out?: string;
  from?: string;
}

const SHOWN_PROBLEMS = 10;

export const auditCommands: CommandGroup = (program, io) => {
  const audit = program
    .command('audit')
    .description('the audit log: is it as it was signed?')
    .addHelpText(
      'after',
      '\nReads MONGODB_URI, CHECKPOINT_VKEY (printed by audit when it starts) and AUDIT_CHECKPOINT_FILE, the checkpoints' +
        '\nkept outside the database. With "npm start" running here all three are known.',
    );
  const command = (name: string, description: string): Command =>
    audit.command(name).description(description).option('--json', 'print one JSON object');
  const keyed = (c: Command): Command =>
    c
      .option('--vkey <KEY>', 'verifier key name+hash+key (default: CHECKPOINT_VKEY)')
      .option('--checkpoints <FILE>', 'checkpoints kept outside the database (default: AUDIT_CHECKPOINT_FILE)');

  keyed(command('verify', 'all entries against all signed checkpoints; names the first bad one'))
    .option('--export <FILE>', 'verify an export instead of the database')
    .action((o: Options) => verify(o, io));
  command('fsck', 'the structure alone: order, chain, payloads, search fields; needs no key').action((o: Options) =>
    fsck(o, io),
  );
  keyed(command('prove', 'that entry SEQ is in the log that the newest checkpoint signs'))
    .argument('<seq>', 'the entry')
    .action((seq: string, o: Options) => prove(seq, o, io));
  keyed(command('checkpoint', 'the newest signed checkpoint'))
    .option('--from <SIZE>', 'and the proof that it continues the checkpoint of this size')
    .action((o: Options) => checkpoint(o, io));
  keyed(command('export', 'everything into one file, which "verify --export" reads'))
    .requiredOption('--out <FILE>', 'the file to write')
    .action((o: Options) => exportLog(o, io));
};

async function verify(o: Options, io: Io): Promise<void> {
  const verifier = verifierOf(o);
  const published = publishedOf(o);
  const report = o.export
    ? await verifyExport(o.export, verifier, published ?? [], progressOf(io))
    : await withLog((log) => verifyStored(log, verifier, published ?? [], progressOf(io)));
  const notes = published
    ? []
    : ['no checkpoints from outside the database were given: a rewrite by its owner is not excluded'];
  say(report, o, io, notes);
}

async function fsck(o: Options, io: Io): Promise<void> {
  say(await withLog((log) => verifyStored(log, null, [], progressOf(io))), o, io, []);
}

function say(report: VerifyReport, o: Options, io: Io, notes: string[]): void {
  if (!report.ok) io.exit(EXIT.bad);
  if (o.json) return io.out(JSON.stringify({ ...report, notes }));
  const { entries, covered, checkpoints, erasedParts, problems, first } = report;
  if (checkpoints > 0) {
    const later = entries - covered;
    io.out(
      `${entries} entries, ${checkpoints} signed checkpoints; ${covered} entries covered${later > 0 ? `, ${later} not yet` : ''}`,
    );
  } else io.out(`${entries} entries`);
  if (erasedParts > 0) io.out(`${erasedParts} payload parts erased or pruned, as entries say`);
  for (const note of notes) io.out(`note: ${note}`);
  if (!first) return io.out('ok');
  for (const problem of problems.slice(0, SHOWN_PROBLEMS)) io.out(`  ${problem.kind}: ${problem.detail}`);
  if (problems.length > SHOWN_PROBLEMS) io.out(`  … and ${problems.length - SHOWN_PROBLEMS} more`);
  io.out(`NOT OK: first bad ${first.seq === null ? 'checkpoint' : `entry ${first.seq}`}: ${first.detail}`);
}

async function prove(text: string, o: Options, io: Io): Promise<void> {
  const seq = wholeNumber(text, 'SEQ');
  const verifier = verifierOf(o);
  await withLog(async (log) => {
    const newest = newestOf(await log.checkpoints(), verifier);
    if (seq >= newest.size) throw new CommandError(`the newest checkpoint covers entries 0 to ${newest.size - 1}`);
    const leaves = await leavesOf(log, newest.size, io);
    const [row] = await log.page(seq, seq + 1);
    const leaf = leaves[seq];
    const proof = inclusionProof(leaves, seq);
    const included =
      leaf !== undefined && isIncluded({ leaf, index: seq, size: newest.size, proof, root: newest.root });
    if (!included) io.exit(EXIT.bad);
    const hashes = proof.map((hash) => hash.toString('base64'));
    if (o.json) {
      const entry = row && (decodeEntry(row.entry) ?? row.entry);
      return io.out(
        JSON.stringify({
          seq,
          included,
          entry,
          leaf: leaf?.toString('base64'),
          proof: hashes,
          checkpoint: newest.note,
        }),
      );
    }
    io.out(row?.entry ?? '');
    io.out(`leaf ${leaf?.toString('base64')}`);
    hashes.forEach((hash, i) => io.out(`${String(i + 1).padStart(4)} ${hash}`));
    io.out(`\n${newest.note}`);
    io.out(included ? `ok: entry ${seq} is in it` : `NOT OK: entry ${seq} is not what the checkpoint signs`);
  });
}

async function checkpoint(o: Options, io: Io): Promise<void> {
  const verifier = verifierOf(o);
  await withLog(async (log) => {
    const stored = await log.checkpoints();
    const newest = newestOf(stored, verifier);
    if (o.from === undefined)
      return io.out(o.json ? JSON.stringify({ note: newest.note, size: newest.size }) : newest.note.trimEnd());
    const size = wholeNumber(o.from, '--from');
    if (size < 1 || size > newest.size) throw new CommandError(`--from must be from 1 to ${newest.size}`);
    const leaves = await leavesOf(log, newest.size, io);
    const proof = consistencyProof(leaves, size).map((hash) => hash.toString('base64'));
    const isWell = rootOf(leaves).equals(newest.root);
    if (!isWell) io.exit(EXIT.bad);
    const first = rootOf(leaves.slice(0, size)).toString('base64');
    if (o.json) return io.out(JSON.stringify({ ok: isWell, first: { size, root: first }, note: newest.note, proof }));
    io.out(`${size} ${first}`);
    for (const hash of proof) io.out(`  ${hash}`);
    io.out(newest.note.trimEnd());
    if (!isWell)
      io.out('NOT OK: the stored entries are not those that the checkpoint signs ("verify" names the first)');
  });
}

async function exportLog(o: Options, io: Io): Promise<void> {
  const verifier = verifierOf(o);
  const published = publishedOf(o) ?? [];
  const file = o.out ?? '';
  await withLog(async (log) => {
    let out: fs.WriteStream;
    try {
      out = fs.createWriteStream('', { fd: fs.openSync(`${file}.part`, 'w', 0o600), highWaterMark: 1 << 20 });
    } catch {
      throw new CommandError(`${file} cannot be written`);
    }
    const write = async (line: string): Promise<void> => {
      if (!out.write(`${line}\n`)) await new Promise<void>((resolve) => out.once('drain', () => resolve()));
    };
    const known = new Map([...published, ...(await log.checkpoints())].map((record) => [record.note, record]));
    await write(exportHeader(verifier.name));
    for (const record of known.values()) await write(exportCheckpoint(record));
    let entries = 0;
    for await (const row of log.rows()) {
      const payload = Array.isArray(row.payload) ? row.payload : [];
      await write(exportRecord(recordOf({ ...row, payload }, decodeEntry(row.entry)?.payloadCommits ?? [])));
      entries += 1;
      if (entries % 1_000 === 0) progressOf(io)(entries, null);
    }
    await new Promise<void>((resolve, reject) => out.once('error', reject).end(() => resolve()));
    fs.renameSync(`${file}.part`, file);
    io.out(
      o.json
        ? JSON.stringify({ file, entries, checkpoints: known.size })
        : `${entries} entries, ${known.size} checkpoints: ${file}`,
    );
  });
}

/** The hashes of the stored entries, in their order. */
async function leavesOf(log: LogRepository, size: number, io: Io): Promise<Buffer[]> {
  const leaves: Buffer[] = [];
  for await (const row of log.rows()) {
    if (leaves.length === size) break;
    if (row.seq !== leaves.length) throw new CommandError(`entry ${leaves.length} is missing; run "verify"`);
    leaves.push(entryHash(row.entry));
    if (leaves.length % 1_000 === 0) progressOf(io)(leaves.length, size);
  }
  return leaves;
}

function newestOf(stored: StoredCheckpoint[], verifier: NoteVerifier): { note: string; size: number; root: Buffer } {
  const last = stored.at(-1);
  if (!last) throw new CommandError('there is no checkpoint yet');
  const opened = openCheckpoint(verifier, last.note);
  if (!opened) throw new CommandError('the newest checkpoint is not signed by this key; run "verify"');
  return { note: last.note, size: opened.size, root: opened.root };
}

async function withLog<T>(use: (log: LogRepository) => Promise<T>): Promise<T> {
  const { MONGODB_URI } = parseEnv(z.object({ MONGODB_URI: env.mongoUri }));
  const log = await LogRepository.connect(MONGODB_URI);
  try {
    return await use(log);
  } finally {
    await log.close();
  }
}

function verifierOf(o: Options): NoteVerifier {
  const vkey = o.vkey ?? parseEnv(z.object({ CHECKPOINT_VKEY: z.string().optional() })).CHECKPOINT_VKEY;
  if (!vkey)
    throw new CommandError('give --vkey or CHECKPOINT_VKEY: the verifier key that audit prints when it starts');
  try {
    return noteVerifier(vkey);
  } catch (error) {
    throw new CommandError(error instanceof Error ? error.message : 'no verifier key');
  }
}

const publishedOf = (o: Options): ReturnType<typeof readCheckpointFile> | null => {
  const file =
    o.checkpoints ?? parseEnv(z.object({ AUDIT_CHECKPOINT_FILE: env.path.optional() })).AUDIT_CHECKPOINT_FILE;
  return file === undefined || file === 'stdout' ? null : readCheckpointFile(file);
};

const progressOf =
  (io: Io) =>
  (done: number, total: number | null): void =>
    io.progress(total === null ? `${done} entries` : `${done} of ${total} entries`);

function wholeNumber(text: string, name: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new CommandError(`${name} must be a whole number`);
  return Number(text);
}
