/**
 * Of the database, as this program needs it: raised with every migration and every index that comes in. What came before
 * goes on with a newer one, as migrations only add.
 */
export const SCHEMA_VERSION = 9;

/** The one row that says which version `countersign migrate` has brought the database to. */
export const SCHEMA_COLLECTION = 'schema_versions';
export interface SchemaRow {
  _id: 'schema';
  version: number;
}
