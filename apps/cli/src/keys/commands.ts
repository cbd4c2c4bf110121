import fs from 'node:fs';
import path from 'node:path';
import { KEY_PURPOSES, type KnownKey, knownKeys } from '#config';
import { CommandError, type CommandGroup, EXIT, type Io } from '../command.js';
import { table } from '../table.js';
import { KEY_KINDS, makeKey } from './make.js';
import { rotate } from './rotate.js';

const DAY_MS = 86_400_000;

export const keyCommands: CommandGroup = (program, io) => {
  const keys = program
    .command('keys')
    .description('the keys of this environment; docs/keys.md says how to rotate them');
  keys
    .command('list')
    .description('names, purposes and ages; never a byte of a key')
    .option('--json', 'print one JSON object')
    .action(({ json }: { json?: boolean }) => list(json ?? false, io));
  keys
    .command('rotate')
    .description('wraps the keys of all templates by the newest KEK; online, goes on after a crash (needs MONGODB_URI)')
    .option('--no-wait', 'ask for it and do not follow it')
    .option('--json', 'print one JSON object')
    .action((o: { json?: boolean; wait: boolean }) => rotate(o, io));
  keys
    .command('new')
    .description('makes a key and writes it to a file of its own, readable by its owner only')
    .argument('<kind>', KEY_KINDS.join(', '))
    .argument('<folder>', 'where to')
    .action((kind: string, folder: string) => make(kind, folder, io));
};

function list(json: boolean, io: Io): void {
  const known = knownKeys();
  if (json) return io.out(JSON.stringify({ keys: known.map((key) => ({ ...key, ageDays: ageDays(key) })) }));
  if (known.length === 0) {
    io.exit(EXIT.bad);
    return io.out('no keys in this environment: run it where a process gets its variables');
  }
  const rows = known.map((key) => {
    const age = ageDays(key);
    return [
      key.variable,
      key.id,
      age === null ? 'age unknown' : `${age} days`,
      key.makes ? 'in use' : 'kept for what it made',
      KEY_PURPOSES[key.variable],
    ];
  });
  table(rows, io);
}

const ageDays = ({ madeAt }: KnownKey): number | null =>
  madeAt === null ? null : Math.max(0, Math.floor((Date.now() - madeAt.getTime()) / DAY_MS));

function make(given: string, folder: string, io: Io): void {
  const kind = KEY_KINDS.find((known) => known === given);
  if (kind === undefined) throw new CommandError(`no such kind; kinds are ${KEY_KINDS.join(', ')}`);
  const { id, key, publicKey } = makeKey(kind);
  const write = (name: string, line: string): void => {
    const file = path.join(folder, name);
    fs.writeFileSync(file, line, { mode: 0o600, flag: 'wx' });
    io.out(file);
  };
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  write(`${kind}-${id}.${publicKey === null ? 'key' : 'private'}`, key);
  if (publicKey !== null) write(`${kind}-${id}.public`, publicKey);
}
