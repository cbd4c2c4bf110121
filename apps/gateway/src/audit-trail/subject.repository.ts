import { Inject, Injectable } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import { Connection, type mongo } from 'mongoose';
import { createEventSealer, EventProofs, SearchTags, SubjectKeys, type SubjectRow, type SubjectRows } from '#audit-log';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { collection, isDuplicateKey } from '../store/mongo.js';

const MAX_TIME_MS = 2_000;
/** A capture needs the key several times; after an erasure it is soon forgotten. */
const REMEMBER_MS = 60_000;
const REMEMBER_MAX = 10_000;

/** `subjects`: pseudonym and wrapped key of each person, made with his first event, destroyed by his erasure. */
@Injectable()
export class SubjectRepository implements SubjectRows {
  readonly sealer: ReturnType<typeof createEventSealer>;
  private readonly rows: mongo.Collection<SubjectRow>;

  constructor(
    @InjectConnection() connection: Connection,
    @Inject(GATEWAY_CONFIG) { EVENT_KEK, EVENT_MAC_KEY }: GatewayConfig,
  ) {
    this.rows = collection(connection, 'subjects');
    const keys = new SubjectKeys(this, EVENT_KEK, { rememberMs: REMEMBER_MS, rememberMax: REMEMBER_MAX });
    const proofs = EVENT_MAC_KEY ? new EventProofs(EVENT_MAC_KEY) : null;
    this.sealer = createEventSealer(keys, new SearchTags(EVENT_KEK), { proofs });
  }

  async find(ids: readonly string[]): Promise<SubjectRow[]> {
    return this.rows.find({ _id: { $in: [...ids] } }, { maxTimeMS: MAX_TIME_MS }).toArray();
  }

  async insert(row: SubjectRow): Promise<void> {
    try {
      await this.rows.insertOne(row);
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
    }
  }
}
