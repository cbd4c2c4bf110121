import { createHash } from 'node:crypto';

/** What a program that asks by ioredis and BullMQ needs beside its own keys: no administration, no other channel. */
const PROGRAM = 'resetchannels +@all -@admin -@dangerous +info +client|list +client|setname +client|setinfo';
const JOBS = '~bull:* ~countersign:write-test';
const BLOBS = '~countersign:blob:* ~countersign:write-test';

/** Who may do what in the Redis of sessions, limits and jobs. Gateways keep sessions and limits there under many names. */
const QUEUE_USERS = {
  gateway: `~* ${PROGRAM}`,
  inference: `${JOBS} ${PROGRAM}`,
  audit: `${JOBS} ${PROGRAM}`,
  // Looks, and counts who is connected.
  cli: '~bull:* resetchannels -@all +ping +info +time +client|list +client|setname +client|setinfo +config|get +hmget +hgetall +exists', // prettier-ignore
  // KEDA asks by a script for the length of one list; `+eval` with writable keys is what Redis demands of scripts.
  keda: '~bull:face:wait resetchannels -@all +ping +eval +type +llen +hello +client|setinfo',
} as const;

/** Who may do what in the Redis of frames and templates in flight. */
const BLOB_USERS = {
  gateway: `${BLOBS} ${PROGRAM}`,
  inference: `${BLOBS} ${PROGRAM}`,
  audit: `${BLOBS} ${PROGRAM}`,
  cli: 'resetchannels -@all +ping +info +time +config|get +client|setinfo',
} as const;

export type QueueUser = keyof typeof QUEUE_USERS;
export type BlobUser = keyof typeof BLOB_USERS;
type Passwords<User extends string> = Readonly<Record<User, string>>;

/** The ACL file of the Redis of sessions, limits and jobs. */
export const queueUsers = (passwords: Passwords<QueueUser>): string => aclFile(QUEUE_USERS, passwords);

/** The ACL file of the Redis of frames and templates in flight. */
export const blobUsers = (passwords: Passwords<BlobUser>): string => aclFile(BLOB_USERS, passwords);

/** Passwords as digests: whoever reads the file cannot log in by it. */
function aclFile<User extends string>(users: Readonly<Record<User, string>>, passwords: Passwords<User>): string {
  const rules = Object.entries<string>(users);
  const lines = rules.map(([user, may]) => `user ${user} on #${sha256(passwords[user as User])} resetkeys ${may}`);
  // Nobody comes in as `default`, which is off. It may do everything nevertheless: as `default` Redis replays its own
  // append-only file, and drops each transaction and script there that `default` may not do. A health check comes in without
  // a password, and may do nothing but ask whether somebody is there.
  const fixed = ['user default off resetpass ~* &* +@all', 'user health on nopass resetkeys resetchannels -@all +ping']; // prettier-ignore
  return `${[...fixed, ...lines].join('\n')}\n`;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
