import { deserialize, type Document, serialize } from 'bson';
import { type Pool } from 'pg';
import { LIST_INDEXES, type Row } from './statements.js';

export interface DuplicateInfo {
  errmsg: string;
  keyPattern: Document;
  keyValue?: Document;
}

/** MongoDB also reports which index was violated and, where the document is known (inserts), by which value. */
export async function duplicateInfo(
  pool: Pool,
  namespace: { db: string; coll: string },
  message: string,
  document?: Document,
): Promise<DuplicateInfo | undefined> {
  const index =
    /Index '([^']+)'/.exec(message)?.[1] ?? (await nameOf(pool, /documents_rum_index_(\d+)/.exec(message)?.[1]));
  if (!index) return undefined;
  const keyPattern = await keyOf(pool, namespace, index);
  if (!keyPattern) return undefined;
  const keyValue =
    document && Object.fromEntries(Object.keys(keyPattern).map((field) => [field, valueAt(document, field) ?? null]));
  const shown = JSON.stringify(keyValue ?? keyPattern);
  const errmsg = `E11000 duplicate key error collection: ${namespace.db}.${namespace.coll} index: ${index} dup key: ${shown}`;
  return { errmsg, keyPattern, ...(keyValue ? { keyValue } : {}) };
}

async function nameOf(pool: Pool, id: string | undefined): Promise<string | undefined> {
  if (id === undefined) return undefined;
  const { rows } = await pool.query<{ name: string }>(
    'select (index_spec).index_name as name from documentdb_api_catalog.collection_indexes where index_id=$1',
    [id],
  );
  return rows[0]?.name;
}

async function keyOf(
  pool: Pool,
  { db, coll }: { db: string; coll: string },
  index: string,
): Promise<Document | undefined> {
  const { rows } = await pool.query<Row>(LIST_INDEXES.text, [db, serialize({ listIndexes: coll })]);
  const reply = rows[0]?.reply;
  if (!reply) return undefined;
  const { cursor } = deserialize(reply) as { cursor: { firstBatch: { name: string; key: Document }[] } };
  return cursor.firstBatch.find(({ name }) => name === index)?.key;
}

function valueAt(document: Document, field: string): unknown {
  return field.split('.').reduce<unknown>((at, name) => (at as Document | null | undefined)?.[name], document);
}
