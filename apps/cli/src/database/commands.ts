import { SCHEMA_VERSION } from '#contracts';
import { CommandError, type CommandGroup, type Io } from '../command.js';
import { bar } from '../progress.js';
import { Database } from './database.repository.js';
import { eventProofs } from './event-proofs.js';
import { INDEXES, missingIndexes, nameOf } from './indexes.js';
import { MIGRATIONS, setVersion, versionOf } from './migrations.js';

export const databaseCommands: CommandGroup = (program, io) => {
  program
    .command('migrate')
    .description('brings the database of MONGODB_URI to this version: indexes and documents')
    .addHelpText(
      'after',
      '\nMay run while processes of the version before are up, and again at any time. In production processes make no index\nthemselves and do not start before it has run.',
    )
    .option('--dry-run', 'only say what there is to do')
    .option('--json', 'print one JSON object')
    .action((o: { dryRun?: boolean; json?: boolean }) => migrate(o, io));
};

async function migrate(o: { dryRun?: boolean; json?: boolean }, io: Io): Promise<void> {
  await Database.with(async ({ db }) => {
    const from = await versionOf(db);
    if (from > SCHEMA_VERSION) {
      throw new CommandError(
        `the database is of version ${from}, this program knows ${SCHEMA_VERSION}: use a newer one`,
      );
    }
    const proofs = eventProofs();
    const steps = MIGRATIONS.filter(({ version }) => version > from);
    const missing = await missingIndexes(db);
    let done = 0;
    const progress = (): void => io.progress(bar(done++, missing.length + steps.length, 'steps'));
    for (const one of o.dryRun ? [] : missing) {
      progress();
      await db.collection(one.collection).createIndex(one.key, one.options);
    }
    for (const step of o.dryRun ? [] : steps) {
      progress();
      await step.run(db, { proofs });
      await setVersion(db, step.version);
    }
    const indexes = missing.map(nameOf);
    const migrations = steps.map(({ version, what }) => ({ version, what }));
    if (o.json)
      return io.out(JSON.stringify({ dryRun: o.dryRun ?? false, from, to: SCHEMA_VERSION, indexes, migrations }));
    const verb = o.dryRun ? 'to make' : 'made';
    for (const name of indexes) io.out(`index ${verb}: ${name}`);
    for (const { version, what } of migrations) io.out(`version ${version}: ${what}`);
    if (indexes.length + migrations.length === 0) {
      io.out(`nothing to do: version ${from}, all ${INDEXES.length} indexes are there`);
    }
  });
}
