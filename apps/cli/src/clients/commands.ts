import { CLIENT_SCOPES, type ClientScope, clientScopeSchema, type ClientView, type NewSecret, ServiceClientStore } from '#service-clients'; // prettier-ignore
import { CommandError, type CommandGroup, type Io } from '../command.js';
import { Database } from '../database/database.repository.js';
import { table } from '../table.js';

const OVERLAP_HOURS = 24;
const OVERLAP_HOURS_MAX = 30 * 24;
const HOUR_MS = 3_600_000;

interface Json {
  json?: boolean;
}

export const clientCommands: CommandGroup = (program, io) => {
  const client = program
    .command('client')
    .description('the relying applications that may ask about sessions (docs/integration.md)')
    .addHelpText(
      'after',
      '\nNeeds MONGODB_URI. A secret is shown once, by create and rotate; only its hash is stored.',
    );
  client
    .command('create')
    .description('a new client with a secret')
    .argument('<name>', 'letters, digits, spaces and . _ - ; unique')
    .requiredOption('--scope <scope...>', `what it may do: ${CLIENT_SCOPES.join(', ')}`)
    .option('--json', 'print one JSON object')
    .action((name: string, o: Json & { scope: string[] }) => create(name, o, io));
  client
    .command('rotate')
    .description('a new secret; the one before goes on for a while')
    .argument('<name>')
    .option('--overlap <hours>', 'how long the one before goes on; 0 ends it at once', String(OVERLAP_HOURS))
    .option('--json', 'print one JSON object')
    .action((name: string, o: Json & { overlap: string }) => rotate(name, o, io));
  client
    .command('list')
    .description('names, ids, scopes and the ages of secrets')
    .option('--json', 'print one JSON object')
    .action((o: Json) => list(o, io));
  client
    .command('disable')
    .description('ends a client at once and for good')
    .argument('<name>')
    .option('--json', 'print one JSON object')
    .action((name: string, o: Json) => disable(name, o, io));
};

const withClients = <T>(work: (clients: ServiceClientStore, database: Database) => Promise<T>): Promise<T> =>
  Database.with((database) => work(new ServiceClientStore(database.collection('service_clients')), database));

async function create(name: string, o: Json & { scope: string[] }, io: Io): Promise<void> {
  if (!ServiceClientStore.isName(name)) {
    throw new CommandError('a name has 1 to 64 letters, digits, spaces and . _ - and begins with a letter or a digit');
  }
  const scopes = o.scope.map(scopeOf);
  await withClients(async (clients, database) => {
    // Unique names need their index, whether or not a gateway has made it.
    await clients.ensureIndexes();
    const made = await clients.create(name, scopes);
    if (!made) throw new CommandError('a client of this name exists');
    await database.recordAction({ clientId: made.client.clientId });
    show(made, o, io);
  });
}

async function rotate(name: string, o: Json & { overlap: string }, io: Io): Promise<void> {
  const hours = Number(o.overlap);
  if (!/^\d+(\.\d+)?$/.test(o.overlap) || hours > OVERLAP_HOURS_MAX) {
    throw new CommandError(`--overlap takes hours, from 0 to ${OVERLAP_HOURS_MAX}`);
  }
  await withClients(async (clients, database) => {
    const made = await clients.rotate(name, hours * HOUR_MS);
    if (!made) throw new CommandError('there is no client of this name');
    await database.recordAction({ clientId: made.client.clientId });
    show(made, o, io);
  });
}

async function list(o: Json, io: Io): Promise<void> {
  const clients = await withClients((store) => store.list());
  if (o.json) return io.out(JSON.stringify({ clients }));
  if (clients.length === 0) return io.out('no clients');
  table(
    clients.map((c) => [c.name, c.clientId, c.scopes.join(' '), stateOf(c)]),
    io,
  );
}

async function disable(name: string, o: Json, io: Io): Promise<void> {
  await withClients(async (clients, database) => {
    const client = await clients.disable(name);
    if (!client) throw new CommandError('there is no client of this name');
    await database.recordAction({ clientId: client.clientId });
    io.out(o.json ? JSON.stringify({ client }) : `disabled ${client.name}`);
  });
}

function scopeOf(text: string): ClientScope {
  const { data } = clientScopeSchema.safeParse(text);
  if (data === undefined) throw new CommandError(`there is no such scope; scopes are ${CLIENT_SCOPES.join(', ')}`);
  return data;
}

function show({ client, secret }: NewSecret, o: Json, io: Io): void {
  if (o.json) return io.out(JSON.stringify({ clientId: client.clientId, secret, scopes: client.scopes }));
  io.out(`client id      ${client.clientId}`);
  io.out(`client secret  ${secret}`);
  io.out('The secret is not shown again.');
}

function stateOf({ disabledAt, secrets }: ClientView): string {
  if (disabledAt) return `disabled ${disabledAt.toISOString().slice(0, 10)}`;
  const ends = secrets.flatMap(({ expiresAt }) => (expiresAt && expiresAt > new Date() ? [expiresAt] : []));
  const since = `secret of ${secrets[0]?.createdAt.toISOString().slice(0, 10) ?? 'never'}`;
  return ends.length === 0 ? since : `${since}, the one before until ${ends[0]?.toISOString()}`;
}
