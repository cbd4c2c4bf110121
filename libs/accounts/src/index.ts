export { Accounts, type Created, type NewAccount, openAccounts, openMails } from './accounts.js';
export { LinkTokenRepository } from './link-token.repository.js';
export { MailRepository, type MailRequest } from './mail.repository.js';
export {
  emailSchema,
  hashPassword,
  isCommonPassword,
  localeSchema,
  passwordAttemptSchema,
  passwordSchema,
  verifyPassword,
} from './passwords.js';
export { importUsers, type ImportLine, type ImportReport } from './import-users.js';
export { isSessionOf, type UserRow } from './user.js';
export { UserRepository } from './user.repository.js';
