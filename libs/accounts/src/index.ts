export { Accounts, type Created, type NewAccount, openAccounts, openMails } from './accounts.js';
export { emailLookupSchema, emailSchema, readEmail } from './email.js';
export { localeSchema } from './locale.js';
export { type FoundLink, type LinkKind, LinkTokenRepository } from './link-token.repository.js';
export { MailRepository, type MailRequest } from './mail.repository.js';
export { hashPassword, isCommonPassword, passwordAttemptSchema, passwordSchema, verifyPassword } from './passwords.js';
export { importUsers, type ImportLine, type ImportReport } from './import-users.js';
export { isSessionOf, type Renewal, type UserRow } from './user.js';
export { UserRepository } from './user.repository.js';
