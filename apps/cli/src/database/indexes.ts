import type { mongo } from 'mongoose';

export interface KnownIndex {
  collection: string;
  key: Record<string, 1 | -1>;
  options?: { unique?: true; sparse?: true; expireAfterSeconds?: number; partialFilterExpression?: mongo.Document };
}

const index = (collection: string, key: KnownIndex['key'], options: KnownIndex['options'] = {}): KnownIndex => ({
  collection,
  key,
  options,
});
const UNIQUE = { unique: true } as const;
const EXPIRES = { expireAfterSeconds: 0 } as const;

/** Every index that the processes rely on. Held equal by a test to what they make when they start. */
export const INDEXES: readonly KnownIndex[] = [
  index('users', { email: 1 }, UNIQUE),
  index('users', { 'formerEmails.email': 1 }, { sparse: true }),
  index('users', { hasNewEmail: 1 }, { partialFilterExpression: { hasNewEmail: true } }),
  index('users', { hasErasure: 1 }, { partialFilterExpression: { hasErasure: true } }),
  index('users', { hasPending: 1 }, { partialFilterExpression: { hasPending: true } }),
  index('link_tokens', { expiresAt: 1 }, EXPIRES),
  index('link_tokens', { userId: 1 }),
  index('face_guards', { hasOutbox: 1 }, { partialFilterExpression: { hasOutbox: true } }),
  index('face_guards', { hasDue: 1 }, { partialFilterExpression: { hasDue: true } }),
  index('face_guards', { isNew: 1 }, { partialFilterExpression: { isNew: true } }),
  index('face_templates', { userId: 1 }),
  index('face_templates', { keyVersion: 1 }),
  index('face_templates', { createdDay: 1 }),
  index('consents', { userId: 1 }),
  index('service_clients', { name: 1 }, UNIQUE),
  index('erasures', { userId: 1 }, UNIQUE),
  index('erasures', { state: 1 }),
  index('erasures', { repeatDue: 1 }, { sparse: true }),
  index('mails', { state: 1 }),
  index('mails', { userId: 1 }),
  index('mails', { expireAt: 1 }, EXPIRES),
  index('not_me_tokens', { userId: 1 }),
  index('not_me_tokens', { expireAt: 1 }, EXPIRES),
  index('subjects', { pseudonym: 1 }, { unique: true, sparse: true }),
  index('face_auth_events', { seq: 1 }, UNIQUE),
  index('face_auth_events', { prevHash: 1 }, UNIQUE),
  index('face_auth_events', { eventId: 1 }, UNIQUE),
  index('face_auth_events', { day: 1, timestamp: -1, eventId: -1 }),
  index('face_auth_events', { subject: 1, timestamp: -1, eventId: -1 }),
  index('face_auth_events', { tags: 1, timestamp: -1, eventId: -1 }),
  index('audit_checkpoints', { published: 1 }),
];

export const nameOf = ({ collection, key }: KnownIndex): string => `${collection}(${Object.keys(key).join(', ')})`;

/** Those that this database does not have, or has without being unique though they must be. */
export async function missingIndexes(db: mongo.Db): Promise<KnownIndex[]> {
  const there = new Map<string, mongo.IndexDescriptionInfo[]>();
  for (const name of new Set(INDEXES.map(({ collection }) => collection))) {
    there.set(name, await indexesOf(db, name));
  }
  return INDEXES.filter(({ collection, key, options }) => {
    const same = there.get(collection)?.find((one) => JSON.stringify(one.key) === JSON.stringify(key));
    return !same || (options?.unique === true && same.unique !== true);
  });
}

async function indexesOf(db: mongo.Db, collection: string): Promise<mongo.IndexDescriptionInfo[]> {
  try {
    return await db.collection(collection).indexes();
  } catch (error) {
    // A collection that does not exist yet has none.
    if ((error as { code?: unknown }).code === 26) return [];
    throw error;
  }
}
