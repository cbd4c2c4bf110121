import fs from 'node:fs';
import type { Command } from 'commander';
import { z } from 'zod';
import {
  consistencyProof,
  type CheckpointSources,
  decodeEntry,
  entryHash,
  ERA_REASON_MAX,
  eraFileOf,
  exportCheckpoint,
  publishedFileOf,
  exportHeader,
  exportRecord,
  inclusionProof,
  isConsistent,
  isIncluded,
  type NoteVerifier,
  noteVerifier,
  openCheckpoint,
  readCheckpointLine,
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
  checkpoints?: string[];
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
      .option('--checkpoints <FILE...>', 'checkpoints kept outside the database (default: AUDIT_CHECKPOINT_FILE)');

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
  keyed(command('consistency', 'that the log of checkpoint B continues the log of checkpoint A'))
    .argument('<a>', 'its size, or a file that holds it (a note, or lines of which the last counts)')
    .argument('<b>', 'the same of the later one')
    .action((a: string, b: string, o: Options) => consistency([a, b], o, io));
  keyed(command('export', 'everything into one file, which "verify --export" reads'))
    .requiredOption('--out <FILE>', 'the file to write')
    .action((o: Options) => exportLog(o, io));
  audit
    .command('era')
    .description('a log that does not continue its last published checkpoint')
    .command('open')
    .description('lets audit sign the log of the database from now on, as after a restore; on the host of audit')
    .requiredOption('--reason <TEXT>', `why, for the log: at most ${ERA_REASON_MAX} characters, nothing personal`)
    .option('--checkpoints <FILE...>', 'the file of each audit process (default: AUDIT_CHECKPOINT_FILE)')
    .action((o: { reason: string; checkpoints?: string[] }) => openEra(o, io));
};

/** The order lies beside the file and names its last line: who cannot write there cannot give it. */
function openEra({ reason, checkpoints }: { reason: string; checkpoints?: string[] }, io: Io): void {
  const said = reason.trim();
  if (said.length === 0 || said.length > ERA_REASON_MAX) {
    throw new CommandError(`--reason must have 1 to ${ERA_REASON_MAX} characters`);
  }
  const set = parseEnv(
    z.object({ AUDIT_CHECKPOINT_FILE: env.path.optional(), AUDIT_CHECKPOINT_PIN: env.path.optional() }),
  );
  const file = publishedFileOf({ all: set.AUDIT_CHECKPOINT_FILE, pin: set.AUDIT_CHECKPOINT_PIN });
  const files = checkpoints ?? (file === null ? [] : [file]);
  if (files.length === 0) throw new CommandError('give --checkpoints, AUDIT_CHECKPOINT_FILE or AUDIT_CHECKPOINT_PIN');
  const lasts = files.map((name) => {
    const last = readCheckpointFile(name).at(-1);
    if (!last?.note) throw new CommandError(`the last line of ${name} is no checkpoint`);
    return { name, note: last.note };
  });
  for (const { name, note } of lasts) {
    try {
      fs.writeFileSync(eraFileOf(name), `${JSON.stringify({ note, reason: said })}\n`, { mode: 0o644 });
    } catch {
      throw new CommandError(`${eraFileOf(name)} cannot be written`);
    }
    io.out(`${name}: audit may leave the checkpoint of size ${note.split('\n')[1]} behind; it does so within a minute`);
  }
}

async function verify(o: Options, io: Io): Promise<void> {
  const verifier = verifierOf(o);
  const outside = outsideOf(o);
  const report = o.export
    ? await verifyExport(o.export, verifier, outside, progressOf(io))
    : await withLog((log) => verifyStored(log, verifier, outside, progressOf(io)));
  say(report, o, io, unproven(outside));
}

/** Why "ok" would say less than it seems to; null if it does not. */
function unproven(outside: CheckpointSources['outside']): string | null {
  if (outside === null)
    return 'no checkpoints from outside the database were given: a rewrite by its owner is not excluded';
  if (outside.length > 0) return null;
  return 'the file of checkpoints is EMPTY: nothing was published, so a rewrite by the owner of the database is not excluded';
}

async function fsck(o: Options, io: Io): Promise<void> {
  say(await withLog((log) => verifyStored(log, null, null, progressOf(io))), o, io, null);
}

function say(report: VerifyReport, o: Options, io: Io, warning: string | null): void {
  // In production a log that nothing outside vouches for is not as it should be.
  const isProven = warning === null || parseEnv(z.object({ NODE_ENV: env.nodeEnv })).NODE_ENV !== 'production';
  if (!report.ok || !isProven) io.exit(EXIT.bad);
  const notes = [...(warning === null ? [] : [warning]), ...notesOf(report)];
  if (o.json) return io.out(JSON.stringify({ ...report, ok: report.ok && isProven, notes }));
  const { entries, covered, checkpoints, problems, first } = report;
  if (checkpoints > 0) {
    const later = entries - covered;
    io.out(
      `${entries} entries, ${checkpoints} signed checkpoints; ${covered} entries covered${later > 0 ? `, ${later} not yet` : ''}`,
    );
  } else io.out(`${entries} entries`);
  for (const text of notes) io.out(`${text === warning ? 'WARNING' : 'note'}: ${text}`);
  if (!first) return io.out(isProven ? 'ok' : 'NOT OK: nothing outside the database vouches for this log');
  for (const problem of problems.slice(0, SHOWN_PROBLEMS)) io.out(`  ${problem.kind}: ${problem.detail}`);
  if (problems.length > SHOWN_PROBLEMS) io.out(`  … and ${problems.length - SHOWN_PROBLEMS} more`);
  io.out(`NOT OK: first bad ${first.seq === null ? 'checkpoint' : `entry ${first.seq}`}: ${first.detail}`);
}

function notesOf({ erasedParts, eras, unpublished }: VerifyReport): string[] {
  const notes = eras.map(({ seq, size, sizes, reason }) => {
    const left = `${sizes.length} checkpoints up to size ${size} signed entries that are not in it`;
    return `entry ${seq} opened an era of the log (${reason}): ${left}`;
  });
  if (erasedParts > 0) notes.push(`${erasedParts} payload parts erased or pruned, as entries say`);
  if (unpublished > 0) notes.push(`${unpublished} checkpoints wait to be published`);
  return notes;
}

async function consistency(given: [string, string], o: Options, io: Io): Promise<void> {
  const verifier = verifierOf(o);
  await withLog(async (log) => {
    const known = [...(await log.checkpoints()), ...(outsideOf(o) ?? [])].map(({ note }) => note);
    const [first, second] = given.map((name) => checkpointsNamed(name, known, verifier)) as [Signed[], Signed[]];
    const [from, to] = [first[0]!.size, second[0]!.size];
    if (from > to) throw new CommandError(`the first one is the longer: ${from} entries, the second ${to}`);
    const leaves = await leavesOf(log, to, io);
    const proof = leaves.length === to && from > 0 ? consistencyProof(leaves, from) : [];
    const pairs = first.flatMap((a) => second.map((b) => ({ a, b })));
    const isWell = pairs.every(({ a, b }) => isConsistent({ first: a, second: b, proof }));
    if (!isWell) io.exit(EXIT.bad);
    const hashes = proof.map((hash) => hash.toString('base64'));
    const notes = [first, second].map((some) => some.map(({ note }) => note));
    if (o.json) return io.out(JSON.stringify({ ok: isWell, from, to, proof: hashes, checkpoints: notes }));
    for (const hash of hashes) io.out(`  ${hash}`);
    for (const note of notes.flat()) io.out(`\n${note.trimEnd()}`);
    if (isWell) return io.out(`\nok: the ${to} entries begin with the same ${from}`);
    const why = leaves.length < to ? `the log has ${leaves.length} entries` : 'the stored entries do not prove it';
    io.out(`\nNOT OK: that the checkpoint of size ${to} continues the one of size ${from} is not so: ${why}`);
  });
}

interface Signed {
  note: string;
  size: number;
  root: Buffer;
}

/** All that have this size (two are a fork, of which one at most can be continued), or the one in this file. */
function checkpointsNamed(name: string, known: readonly string[], verifier: NoteVerifier): Signed[] {
  const isSize = /^\d{1,15}$/.test(name);
  const found = new Map<string, Signed>();
  for (const note of isSize ? known : [noteIn(name)]) {
    const opened = openCheckpoint(verifier, note);
    if (opened && (!isSize || opened.size === Number(name)))
      found.set(opened.root.toString('base64'), { note, ...opened });
  }
  if (found.size > 0) return [...found.values()];
  throw new CommandError(
    isSize ? `there is no signed checkpoint of size ${name}` : `${name} holds no checkpoint signed by this key`,
  );
}

function noteIn(file: string): string {
  let text: string;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch {
    throw new CommandError(`the checkpoint cannot be read: ${file} (a size, or a file)`);
  }
  const last = text.trimEnd().split('\n').at(-1) ?? '';
  return readCheckpointLine(last)?.note ?? text;
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
  const published = outsideOf(o) ?? [];
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

/** Of several audit processes each has its own file. */
function outsideOf(o: Options): CheckpointSources['outside'] {
  const set = parseEnv(z.object({ AUDIT_CHECKPOINT_FILE: env.path.optional() })).AUDIT_CHECKPOINT_FILE;
  const files = o.checkpoints ?? (set === undefined || set === 'stdout' ? [] : [set]);
  return files.length === 0 ? null : files.flatMap(readCheckpointFile);
}

const progressOf =
  (io: Io) =>
  (done: number, total: number | null): void =>
    io.progress(total === null ? `${done} entries` : `${done} of ${total} entries`);

function wholeNumber(text: string, name: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new CommandError(`${name} must be a whole number`);
  return Number(text);
}
