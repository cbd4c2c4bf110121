import { parseArgs } from 'node:util';
import { Global, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { getConnectionToken } from '@nestjs/mongoose';
import type { Connection } from 'mongoose';
import { z } from 'zod';
import { Accounts } from '#accounts';
import { env, parseEnv } from '#config';
import { type Role, ROLES, roleSchema } from '#contracts';
import { createGuardStore, type GuardStore, nothingPersonal } from '#guard';
import { GUARD } from './face/guard.module.js';
import { collection, mongoModule } from './store/mongo.js';
import { UserModule } from './users/user.module.js';

const HELP = `Gives an account roles, until there is a command line of its own.

  npm run -s user -- EMAIL --role security [--role auditor]

Roles: ${ROLES.join(', ')}. Needs MONGODB_URI.
`;

/** What the caller got wrong, said in a line. */
class UsageError extends Error {}

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parsedArgs(args);
  if (values.help) return void process.stdout.write(HELP);
  const [email] = positionals;
  if (email === undefined || positionals.length > 1) throw new UsageError('give one e-mail address (see --help)');
  const roles = rolesOf(values.role ?? []);
  const { MONGODB_URI } = parseEnv(z.object({ MONGODB_URI: env.mongoUri }));

  const context = await NestFactory.createApplicationContext(commandModule(MONGODB_URI), {
    logger: false,
    abortOnError: false,
  });
  try {
    process.stdout.write(`${await giveRoles(context.get(Accounts), email, roles)}\n`);
  } finally {
    await context.close();
  }
}

async function giveRoles(accounts: Accounts, email: string, roles: Role[]): Promise<string> {
  const user = await accounts.users.findByEmail(email.trim().toLowerCase());
  if (!user) throw new UsageError('no account has this e-mail address');
  const added = await accounts.giveRoles(user, roles);
  if (added.length === 0) return `nothing to change: roles are ${user.roles.join(', ')}`;
  return `added ${added.join(', ')}: roles are ${[...user.roles, ...added].join(', ')}`;
}

function parsedArgs(args: string[]) {
  try {
    const options = { role: { type: 'string', multiple: true }, help: { type: 'boolean', short: 'h' } } as const;
    return parseArgs({ args, options, allowPositionals: true });
  } catch {
    throw new UsageError('unknown option (see --help)');
  }
}

function rolesOf(names: string[]): Role[] {
  if (names.length === 0) throw new UsageError('give at least one --role (see --help)');
  return [...new Set(names)].map((name) => {
    const role = roleSchema.safeParse(name);
    if (!role.success) throw new UsageError(`there is no such role; roles are ${ROLES.join(', ')}`);
    return role.data;
  });
}

function commandModule(mongoUri: string) {
  const guard = {
    provide: GUARD,
    inject: [getConnectionToken()],
    useFactory: (connection: Connection): GuardStore =>
      createGuardStore({ collection: collection(connection, 'face_guards'), sealer: nothingPersonal }),
  };
  @Global()
  @Module({ providers: [guard], exports: [GUARD] })
  class CommandGuardModule {}

  @Module({ imports: [mongoModule(mongoUri), CommandGuardModule, UserModule] })
  class CommandModule {}
  return CommandModule;
}

main(process.argv.slice(2)).catch((error: unknown) => {
  const said = error instanceof Error && (error instanceof UsageError || error.name === 'ConfigError');
  process.stderr.write(
    `user: ${said ? error.message : `failed (${error instanceof Error ? error.name : 'unknown'})`}\n`,
  );
  process.exit(1);
});
