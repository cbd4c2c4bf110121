/** What a statement's parameters are filled with: the database, the collection, the command's bytes, its documents. */
export type Argument = 'db' | 'coll' | 'cmd' | 'seq';

export interface Statement {
  text: string;
  args: Argument[];
}

/** One row of any of the statements below. */
export interface Row {
  reply?: Buffer;
  /** Cursors: how to go on, null at the end. */
  next?: Buffer | null;
  cursor?: string;
  /** Writes: false if `reply` has writeErrors. */
  ok?: boolean;
  /** dropIndexes only. */
  retval?: string;
}

export const bson = (parameter: number): string => `$${parameter}::bytea::documentdb_core.bson`;

const value = (expression: string, ...args: Argument[]): Statement => ({
  text: `select (${expression})::bytea as reply`,
  args,
});
const firstPage = (routine: string): Statement => ({
  text: `select cursorpage::bytea as reply, continuation::bytea as next, cursorid as cursor from documentdb_api.${routine}($1,${bson(2)})`,
  args: ['db', 'cmd'],
});
const write = (routine: string): Statement => ({
  text: `select p_result::bytea as reply, p_success as ok from documentdb_api.${routine}($1,${bson(2)},$3::bytea::documentdb_core.bsonsequence)`,
  args: ['db', 'cmd', 'seq'],
});

export const LIST_INDEXES = firstPage('list_indexes_cursor_first_page');
const FIND_AND_MODIFY: Statement = {
  text: `select p_result::bytea as reply, p_success as ok from documentdb_api.find_and_modify($1,${bson(2)})`,
  args: ['db', 'cmd'],
};
const COLL_STATS = value('documentdb_api.coll_stats($1,$2)', 'db', 'coll');
const DB_STATS = value('documentdb_api.db_stats($1)', 'db');

/** Commands the extension answers itself. */
export const STATEMENTS = new Map<string, Statement>([
  ['find', firstPage('find_cursor_first_page')],
  ['aggregate', firstPage('aggregate_cursor_first_page')],
  ['listCollections', firstPage('list_collections_cursor_first_page')],
  ['listIndexes', LIST_INDEXES],
  ['insert', write('insert')],
  ['update', write('update')],
  ['delete', write('delete')],
  ['findAndModify', FIND_AND_MODIFY],
  ['findandmodify', FIND_AND_MODIFY],
  ['count', value(`select document from documentdb_api.count_query($1,${bson(2)})`, 'db', 'cmd')],
  ['distinct', value(`select document from documentdb_api.distinct_query($1,${bson(2)})`, 'db', 'cmd')],
  ['create', value(`documentdb_api.create_collection_view($1,${bson(2)})`, 'db', 'cmd')],
  // Not the background builder: this one is done when it returns. `true` allows it on an existing collection.
  ['createIndexes', value(`documentdb_api_internal.create_indexes_non_concurrently($1,${bson(2)},true)`, 'db', 'cmd')],
  ['dropIndexes', { text: `call documentdb_api.drop_indexes($1,${bson(2)},null)`, args: ['db', 'cmd'] }],
  ['collMod', value(`documentdb_api.coll_mod($1,$2,${bson(3)})`, 'db', 'coll', 'cmd')],
  ['renameCollection', value(`documentdb_api.rename_collection(${bson(1)})`, 'cmd')],
  ['listDatabases', value(`documentdb_api.list_databases(${bson(1)})`, 'cmd')],
  ['collStats', COLL_STATS],
  ['collstats', COLL_STATS],
  ['dbStats', DB_STATS],
  ['dbstats', DB_STATS],
]);

/** Settings of every connection the gateway opens. */
export const SETTINGS = {
  client_min_messages: 'error',
  'documentdb.useFileBasedPersistedCursors': 'on', // a sorted or grouped cursor can go on over any pooled connection
  'documentdb.defaultCursorExpiryTimeLimitSeconds': '600',
  'documentdb.throwDeadlockOnCRUD': 'on', // a deadlock fails the whole statement, which the gateway runs again
  'documentdb.enableCompositeIndexPlanner': 'on', // without it a secondary index is not used by findOne and updateOne
  'documentdb_core.enableCollation': 'on',
  'documentdb.enableCollationWithNonUniqueOrderedIndexes': 'on',
};
