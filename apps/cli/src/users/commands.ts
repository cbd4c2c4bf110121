import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { type Command, Option } from 'commander';
import { z } from 'zod';
import {
  emailLookupSchema,
  hashPassword,
  type ImportLine,
  importUsers,
  isCommonPassword,
  LastAdminError,
  openMails,
  passwordSchema,
  type UserRow,
} from '#accounts';
import { env, parseEnv } from '#config';
import { type Role, ROLES, roleSchema } from '#contracts';
import { newestOf } from '#sealing';
import { CommandError, type CommandGroup, EXIT, type Io } from '../command.js';
import { bar } from '../progress.js';
import { table } from '../table.js';
import { type AccountsAtHand, emailOf, withAccounts, withUser } from './accounts.js';
import { addressCommands } from './addresses.js';

interface Options {
  json?: boolean;
  role?: string[];
  as?: string;
}

interface RoleOptions extends Options {
  revoke?: string[];
}

interface CreateOptions extends Options {
  link?: boolean;
  mail?: boolean;
}

interface ImportOptions {
  dryRun?: boolean;
  json?: boolean;
}

const PASSWORD =
  'The password is asked for, or read as one line of standard input; there is no default one. The e-mail counts as verified.';
const LINK = 'asks for no password, prints a link by which its owner chooses one, once, within 7 days';
/** As the gateway has it. */
const LOCAL_URL = 'http://localhost:8080';
const ROLE = ['--role <role...>', `one or more of: ${ROLES.join(', ')}`] as const;
const AS = ['--as <email>', 'who does it, by his account; the trail names the user of the system in any case'] as const;
const NOT_PROVED =
  'nobody has shown that this address is that person\'s: verify it first, or invite the person ("countersign user create EMAIL --mail")';
const EMAIL_EXISTS = 'an account with this e-mail exists; "countersign user role" gives it roles';

export const userCommands: CommandGroup = (program, io) => {
  const needs = '\nNeeds MONGODB_URI. What is done here is audited like what staff does.';
  const admin = program.command('admin').description('the first administrator').addHelpText('after', needs);
  const user = program
    .command('user')
    .description('accounts: made, shown, disabled, unlocked')
    .addHelpText('after', needs);
  const command = (parent: Command, name: string, description: string): Command =>
    parent.command(name).description(description).argument('<email>').option('--json', 'print one JSON object');

  const creation = (parent: Command, description: string): Command =>
    command(parent, 'create', description)
      .addOption(new Option('--link', LINK).conflicts('mail'))
      .option('--mail', 'mails that link instead; needs MAIL_KEY')
      .addHelpText('after', `\n${PASSWORD}`);
  creation(admin, 'an account with the role admin').action((email: string, o: CreateOptions) =>
    create(email, ['admin'], o, io),
  );
  creation(user, 'an account')
    .option(...ROLE)
    .action((email: string, o: CreateOptions) => create(email, rolesOf(o.role ?? []), o, io));
  command(user, 'show', 'roles, state, and the state of the face').action((email: string, o: Options) =>
    withUser(email, (user, accounts) => show(user, accounts, o, io)),
  );
  command(user, 'role', 'gives roles and takes them away; ends the sessions of that person')
    .option(...ROLE)
    .option('--revoke <role...>', 'takes these away')
    .option(...AS)
    .action((email: string, o: RoleOptions) => changeRoles(email, o, io));
  command(user, 'disable', 'ends all sessions and bars the account').action((email: string, o: Options) =>
    setDisabled(email, true, o, io),
  );
  command(user, 'enable', 'takes that back').action((email: string, o: Options) => setDisabled(email, false, o, io));
  user
    .command('import')
    .description('invites everybody in a CSV file; a line that is wrong is told and stops no other')
    .argument(
      '<file>',
      'UTF-8, columns email, roles (separated by spaces), locale between commas, semicolons or tabs; only email is needed',
    )
    .option('--dry-run', 'only look')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nNeeds MAIL_KEY too, but for a dry run. May be repeated: open invitations are sent anew.')
    .action((file: string, o: ImportOptions) => importFile(file, o, io));
  addressCommands(user, io);
  command(user, 'unlock', 'ends the lock of the face now').action((email: string, o: Options) => unlock(email, o, io));
};

async function create(text: string, roles: Role[], o: CreateOptions, io: Io): Promise<void> {
  const email = emailOf(text);
  if (o.link || o.mail) return invite(email, roles, o, io);
  await withAccounts(async ({ accounts, users }) => {
    if (await users.findByEmail(email)) throw new CommandError(EMAIL_EXISTS);
    const { data: password } = passwordSchema.safeParse(await io.secret('Password (12 characters or more): '));
    if (password === undefined) throw new CommandError('a password has 12 to 256 characters');
    if (isCommonPassword(password, email)) throw new CommandError('this password is one that everybody tries');
    const passwordHash = await hashPassword(password);
    const account = { email, passwordHash, roles, emailVerified: true, isOperator: true, operator: operator() };
    const made = await accounts.create(account);
    if (made.kind === 'email_taken') throw new CommandError(EMAIL_EXISTS);
    const { _id: userId, roles: given } = made.user;
    io.out(
      o.json ? JSON.stringify({ userId, email, roles: given }) : `created ${email} (${given.join(', ')}): ${userId}`,
    );
  });
}

/** Nobody types the password for another person: he chooses it by a link that works once. */
async function invite(email: string, roles: Role[], o: CreateOptions, io: Io): Promise<void> {
  const { MAIL_KEY, PUBLIC_URL } = parseEnv(
    z.object({ MAIL_KEY: o.mail ? env.keySet : env.keySet.optional(), PUBLIC_URL: env.publicUrl.default(LOCAL_URL) }),
  );
  await withAccounts(async ({ accounts, db }) => {
    const account = { email, roles, operator: operator() };
    const made = MAIL_KEY && o.mail ? await accounts.invite(account, openMails(db, newestOf(MAIL_KEY).bytes)) : await accounts.openInvitation(account); // prettier-ignore
    if (made.kind === 'email_taken') throw new CommandError(EMAIL_EXISTS);
    const { _id: userId, roles: given } = made.user;
    const link =
      'secret' in made && typeof made.secret === 'string'
        ? `${PUBLIC_URL.replace(/\/+$/, '')}/accept-invitation?token=${made.secret}`
        : null;
    if (o.json) return io.out(JSON.stringify({ userId, email, roles: given, invited: true, link }));
    io.out(`invited ${email} (${given.join(', ')}): ${userId}`);
    io.out(link === null ? 'the link is on its way by mail' : `${link}\nworks once, for 7 days; it is not shown again`);
  });
}

async function importFile(file: string, o: ImportOptions, io: Io): Promise<void> {
  const csv = textOf(file);
  const dryRun = o.dryRun ?? false;
  // A dry run writes no mail, so it needs no key.
  const mailKey = dryRun ? Buffer.alloc(0) : newestOf(parseEnv(z.object({ MAIL_KEY: env.keySet })).MAIL_KEY).bytes;
  await withAccounts(async ({ accounts, db }) => {
    const mails = openMails(db, mailKey);
    const onLine = (done: number, of: number): void => io.progress(bar(done, of, 'people'));
    const report = await importUsers(csv, { accounts, mails, dryRun, onLine });
    if (report.errors.length > 0) io.exit(EXIT.bad);
    if (o.json) return io.out(JSON.stringify({ dryRun, ...report }));
    for (const { line, message } of report.errors) io.out(`${file}:${line}: ${message}`);
    if (report.kind === 'refused') return io.out('nothing was done');
    for (const { line, email, outcome } of report.lines) io.out(`${file}:${line}: ${email}: ${OUTCOMES[outcome]}`);
    const existing = report.lines.filter(({ outcome }) => outcome === 'exists').length;
    const passed = new Set(report.errors.map(({ line }) => line)).size;
    const counts = [`${report.lines.length - existing} ${dryRun ? 'to invite' : 'invited'}`, `${existing} left as they are`]; // prettier-ignore
    io.out([...counts, ...(passed > 0 ? [`${passed} passed over`] : [])].join(', '));
  });
}

const OUTCOMES: Record<ImportLine['outcome'], string> = {
  invited: 'invited',
  would_invite: 'would be invited',
  exists: 'has an account',
};

function textOf(file: string): string {
  const bytes = readable(file);
  // A byte order mark, or a zero byte as every other one of what is written in Latin letters.
  if (/^(fffe|feff)/.test(bytes.toString('hex', 0, 2)) || bytes.subarray(0, 1_000).includes(0)) {
    throw new CommandError('the file is UTF-16, not UTF-8: save it as "CSV UTF-8"');
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new CommandError('the file is not UTF-8: save it as "CSV UTF-8"');
  }
}

function readable(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch {
    throw new CommandError('the file cannot be read');
  }
}

async function changeRoles(email: string, o: RoleOptions, io: Io): Promise<void> {
  const [add, remove] = [rolesOf(o.role ?? []), rolesOf(o.revoke ?? [])];
  if (add.length + remove.length === 0) throw new CommandError('--role or --revoke is needed');
  if (add.some((role) => remove.includes(role))) throw new CommandError('a role is both given and taken away');
  await withUser(email, async (user, { accounts, users }) => {
    const actor = { operator: operator(), ...(o.as === undefined ? {} : { actorId: await idOf(o.as, users) }) };
    const changed = await unlessLastAdmin(accounts.changeRoles(user, { add, remove }, actor));
    if (changed.kind === 'not_proved') throw new CommandError(NOT_PROVED);
    if (changed.kind === 'erasing')
      throw new CommandError('this account is about to be erased: its roles stay what they are');
    const { added, removed } = changed;
    const now = changed.user.roles;
    if (o.json) return io.out(JSON.stringify({ userId: user._id, added, removed, roles: now }));
    const done = [...(added.length > 0 ? [`added ${added.join(', ')}`] : []), ...(removed.length > 0 ? [`took away ${removed.join(', ')}`] : [])]; // prettier-ignore
    io.out(`${done.join(', ') || 'nothing to change'}: roles are ${now.join(', ')}`);
  });
}

/** Who sits at the machine; a number where the system has no name for him. */
function operator(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}

async function idOf(email: string, users: AccountsAtHand['users']): Promise<string> {
  const { data } = emailLookupSchema.safeParse(email);
  const user = data === undefined ? null : await users.findByEmail(data);
  if (!user) throw new CommandError('--as: no account has this e-mail address');
  return user._id;
}

async function unlessLastAdmin<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw error instanceof LastAdminError ? new CommandError('nobody would be left who is administrator') : error;
  }
}

async function setDisabled(email: string, disabled: boolean, o: Options, io: Io): Promise<void> {
  await withUser(email, async (user, { accounts }) => {
    const done = disabled
      ? (await unlessLastAdmin(accounts.renew(user._id, { by: 'disable' }, {}))) !== null
      : await accounts.enable(user._id, {});
    if (!done) throw new CommandError('this account is gone');
    io.out(
      o.json ? JSON.stringify({ userId: user._id, disabled }) : `${disabled ? 'disabled' : 'enabled'} ${user.email}`,
    );
  });
}

async function unlock(email: string, o: Options, io: Io): Promise<void> {
  await withUser(email, async (user, { guard }) => {
    const outcome = await guard.change(user._id, { kind: 'unlock' }, {}, randomUUID());
    if (outcome.kind === 'not_found') throw new CommandError('this account is gone');
    io.out(o.json ? JSON.stringify({ userId: user._id, lockedUntil: null }) : `unlocked the face of ${user.email}`);
  });
}

async function show(user: UserRow, { guard }: AccountsAtHand, o: Options, io: Io): Promise<void> {
  const face = await guard.summary(user._id);
  const about = {
    userId: user._id,
    email: user.email,
    emailVerified: user.emailVerified,
    hasPassword: user.passwordHash !== null,
    roles: user.roles,
    state: face?.state ?? 'gone',
    createdAt: user.createdAt.toISOString(),
    enrolled: (face?.templateId ?? null) !== null,
    lockedUntil: face?.lockedUntil?.toISOString() ?? null,
    heldUntil: face?.heldUntil?.toISOString() ?? null,
    reEnrolBy: face?.reEnrolBy?.toISOString() ?? null,
  };
  if (o.json) return io.out(JSON.stringify(about));
  table(
    Object.entries(about).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : String(value ?? '-'),
    ]),
    io,
  );
}

function rolesOf(names: readonly string[]): Role[] {
  return [...new Set(names)].map((name) => {
    const role = roleSchema.safeParse(name);
    if (!role.success) throw new CommandError(`there is no such role; roles are ${ROLES.join(', ')}`);
    return role.data;
  });
}
