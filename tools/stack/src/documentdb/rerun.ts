import { type Pool, type PoolClient, type QueryConfig } from 'pg';
import { DUPLICATE_KEY, mongoCode, sqlStateOf } from './errors.js';
import { type Row } from './statements.js';

const CONFLICT_ATTEMPTS = 10;
const DUPLICATE_ATTEMPTS = 2;
const PAUSE_MS = 20;

export interface RerunRules {
  inTransaction: boolean;
  /** An upsert that lost a race against another insert of the same key finds the document when it runs again. */
  upsert: boolean;
}

/**
 * Outside transactions MongoDB never shows a conflict, and runs an upsert that lost a race again; nor do we. The
 * victims of a deadlock run again one at a time: unique indexes here are exclusion constraints, and many inserts of
 * one new key deadlock with each other, over and over if all of them come back at once.
 */
export class RerunLane {
  private last: Promise<unknown> = Promise.resolve();

  async query(client: Pool | PoolClient, statement: QueryConfig, rules: RerunRules): Promise<Row> {
    try {
      return await first(client, statement);
    } catch (error) {
      if (!attemptsFor(error, rules)) throw error;
    }
    const mine = this.last.then(() => again(client, statement, rules));
    this.last = mine.catch(() => undefined);
    return mine;
  }
}

async function again(client: Pool | PoolClient, statement: QueryConfig, rules: RerunRules): Promise<Row> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await first(client, statement);
    } catch (error) {
      if (attempt >= attemptsFor(error, rules)) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

/** How often a statement that failed so may run again; 0 if the failure is the answer. */
function attemptsFor(error: unknown, { inTransaction, upsert }: RerunRules): number {
  const state = sqlStateOf(error);
  if (inTransaction) return 0;
  if (state === '40001' || state === '40P01') return CONFLICT_ATTEMPTS;
  return upsert && mongoCode(state)?.code === DUPLICATE_KEY ? DUPLICATE_ATTEMPTS : 0;
}

async function first(client: Pool | PoolClient, statement: QueryConfig): Promise<Row> {
  const { rows } = await client.query<Row>(statement);
  return rows[0] ?? {};
}
