import type { mongo } from 'mongoose';
import type { EventProofs } from '#audit-log';
import { SCHEMA_COLLECTION, type SchemaRow } from '#contracts';
import { markOlderEvents } from './older-events.js';

export interface Migration {
  version: number;
  what: string;
  /** May run twice and beside processes of the version before: it adds what they ignore and takes nothing away. */
  run(db: mongo.Db, keys: { proofs: EventProofs | null }): Promise<void>;
}

/** In order, to SCHEMA_VERSION; a version is never changed once it was released. */
export const MIGRATIONS: readonly Migration[] = [
  {
    version: 1,
    what: 'accounts and templates have the fields that lists and reminders look for',
    run: async (db) => {
      const set = {
        disabled: false,
        mustResetPassword: false,
        invite: null,
        newEmail: null,
        hasNewEmail: false,
        endedSessions: [],
      };
      for (const [field, value] of Object.entries(set)) {
        await db.collection('users').updateMany({ [field]: { $exists: false } }, { $set: { [field]: value } });
      }
      const createdDay = { $dateToString: { date: '$createdAt', format: '%Y-%m-%d' } };
      await db.collection('face_templates').updateMany({ createdDay: { $exists: false } }, [{ $set: { createdDay } }]);
    },
  },
  {
    version: 2,
    what: 'guards remember ends that cost nothing, and what an undecided attempt has shown',
    run: async (db) => {
      for (const [field, value] of Object.entries({ freeEnds: [], shown: null })) {
        await db.collection('face_guards').updateMany({ [field]: { $exists: false } }, { $set: { [field]: value } });
      }
    },
  },
  {
    version: 3,
    what: 'guards say whether there ever was a factor beside the password',
    run: async (db) => {
      const everHadFactor = { $gt: ['$firstEnrolledAt', null] };
      await db
        .collection('face_guards')
        .updateMany({ everHadFactor: { $exists: false } }, [{ $set: { everHadFactor } }]);
    },
  },
  {
    version: 4,
    what: 'accounts count the renewals of their credentials, and recovery codes are those of one',
    run: async (db) => {
      const set = { credentialEpoch: 0, staying: null, recoveryGeneration: 0, recoveryGenerationsAt: [] };
      for (const [field, value] of Object.entries(set)) {
        await db.collection('users').updateMany({ [field]: { $exists: false } }, { $set: { [field]: value } });
      }
      // A code lives ten minutes: those of before are asked for anew.
      const none = { $set: { generation: 0, live: [] } };
      await db.collection('recovery_codes').updateMany({ generation: { $exists: false } }, none);
    },
  },
  {
    version: 5,
    what: 'accounts remember what follows from their changes',
    run: async (db) => {
      const none = { $set: { pending: [] as never[], hasPending: false } };
      await db.collection('users').updateMany({ hasPending: { $exists: false } }, none);
    },
  },
  {
    version: 6,
    what: 'accounts remember the addresses that they had, who disputes one, and a password that was barred',
    run: async (db) => {
      const set = { formerEmails: [], addressDispute: null, barredPasswordHash: null };
      for (const [field, value] of Object.entries(set)) {
        await db.collection('users').updateMany({ [field]: { $exists: false } }, { $set: { [field]: value } });
      }
    },
  },
  {
    version: 7,
    what: 'events that wait since before EVENT_MAC_KEY are marked as such',
    run: async (db, { proofs }) => {
      if (proofs) await markOlderEvents(db, proofs);
    },
  },
  {
    version: 8,
    what: 'accounts say who invited them, and since when and by whom they are administrators',
    run: async (db) => {
      const users = db.collection('users');
      // Who is one already is not made to wait anew; by whom it was nobody kept.
      const adminSince = { $cond: [{ $in: ['admin', { $ifNull: ['$roles', []] }] }, { $ifNull: ['$createdAt', null] }, null] }; // prettier-ignore
      await users.updateMany({ adminSince: { $exists: false } }, [{ $set: { adminSince } }]);
      for (const [field, value] of Object.entries({ invitedBy: null, promotedBy: [] })) {
        await users.updateMany({ [field]: { $exists: false } }, { $set: { [field]: value } });
      }
    },
  },
  {
    version: 9,
    what: 'accounts say whether they wait for their erasure',
    run: async (db) => {
      const users = db.collection('users');
      await users.updateMany({ hasErasure: { $exists: false } }, { $set: { erasure: null, hasErasure: false } });
    },
  },
];

export async function versionOf(db: mongo.Db): Promise<number> {
  return (await db.collection<SchemaRow>(SCHEMA_COLLECTION).findOne({ _id: { $eq: 'schema' } }))?.version ?? 0;
}

/** Never lowers: of two that run at the same time the slower one changes nothing. */
export async function setVersion(db: mongo.Db, version: number): Promise<void> {
  const rows = db.collection<SchemaRow>(SCHEMA_COLLECTION);
  await rows.updateOne({ _id: 'schema' }, { $max: { version } }, { upsert: true });
}
