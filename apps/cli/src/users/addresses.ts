import { type Command, Option } from 'commander';
import { z } from 'zod';
import { AddressDisputes, type Decision, openMails } from '#accounts';
import { env, parseEnv } from '#config';
import { IDENTITY_PROOFS } from '#contracts';
import { newestOf } from '#sealing';
import { CommandError, type Io } from '../command.js';
import { type AccountsAtHand, withUser } from './accounts.js';

type DecideOptions = Pick<Decision, 'keep' | 'proof'> & { json?: boolean };

const proofOption = (): Option =>
  new Option('--proof <how>', 'how it was made sure who the person is; stands in the audit log')
    .choices(IDENTITY_PROOFS)
    .makeOptionMandatory();
const NEEDS = '\nNeeds MAIL_KEY: both addresses are told by mail.';

/** Whose account it is: what the operator says where mailboxes cannot. */
export function addressCommands(user: Command, io: Io): void {
  user
    .command('decide')
    .description('decides between two mailboxes that claim an account; its owner then has the password reset')
    .argument('<email>', 'the address that the account has')
    .addOption(
      new Option('--keep <address>', 'the address that the account has, or the one that objected')
        .choices(['current', 'other'])
        .makeOptionMandatory(),
    )
    .addOption(proofOption())
    .option('--json', 'print one JSON object')
    .addHelpText('after', NEEDS)
    .action((email: string, o: DecideOptions) =>
      withUser(email, async (account, atHand) => {
        const decided = await disputes(atHand).decide(account, o, {});
        if (!decided) throw new CommandError('nobody disputes the address of this account');
        io.out(
          o.json
            ? JSON.stringify({ userId: decided._id, email: decided.email })
            : `the account is that of ${decided.email}; its owner has the password reset`,
        );
      }),
    );
}

function disputes({ accounts, users, links, db }: AccountsAtHand): AddressDisputes {
  const mails = openMails(db, newestOf(parseEnv(z.object({ MAIL_KEY: env.keySet })).MAIL_KEY).bytes);
  return new AddressDisputes({
    users,
    links,
    renew: (userId, renewal, origin, follows) => accounts.renew(userId, renewal, origin, follows),
    compose: (mail) => (key) => mails.compose(mail, key),
  });
}
