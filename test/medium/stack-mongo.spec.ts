import mongoose, { type Connection } from 'mongoose';
import { servicesOfTestRun } from '#stack';

interface Row {
  _id: number;
  email?: string;
  used?: number;
  at?: Date;
  key?: string;
  n?: number;
  g?: number;
}

/**
 * What the product relies on and a stand-in for MongoDB gets wrong first. Runs against whichever server this test run
 * has, so that it says the same of a real one.
 */
describe('the MongoDB of this test run', () => {
  let connection: Connection;
  beforeAll(async () => {
    const dbName = `stack-${process.pid}`;
    connection = await mongoose.createConnection(servicesOfTestRun().mongoUri, { dbName, maxPoolSize: 50 }).asPromise();
  });
  afterAll(async () => {
    await connection.dropDatabase();
    await connection.close();
  });

  const fresh = async (name: string) => connection.createCollection<Row>(name);

  it('names the index that a duplicate violates, by insert, update and upsert', async () => {
    const users = await fresh('users');
    await users.createIndex({ email: 1 }, { unique: true });
    await users.insertMany([
      { _id: 1, email: 'a' },
      { _id: 2, email: 'b' },
    ]);
    const duplicate = { code: 11000, keyPattern: { email: 1 } };
    await expect(users.insertOne({ _id: 3, email: 'a' })).rejects.toMatchObject({
      ...duplicate,
      keyValue: { email: 'a' },
    });
    await expect(users.updateOne({ _id: 2 }, { $set: { email: 'a' } })).rejects.toMatchObject(duplicate);
    const upsert = users.findOneAndUpdate({ _id: 9 }, { $set: { email: 'a' } }, { upsert: true });
    await expect(upsert).rejects.toMatchObject(duplicate);
  });

  it('lets exactly three of a hundred parallel conditional updates win', async () => {
    const guards = await fresh('guards');
    await guards.insertOne({ _id: 1, used: 0 });
    const take = () =>
      guards.findOneAndUpdate({ _id: 1, used: { $lt: 3 } }, [{ $set: { used: { $add: ['$used', 1] }, at: '$$NOW' } }]);
    const results = await Promise.all(Array.from({ length: 100 }, take));
    expect(results.filter(Boolean)).toHaveLength(3);
  });

  it('makes one document of fifty parallel upserts of one key, and none of them fails', async () => {
    const counters = await fresh('counters');
    await counters.createIndex({ key: 1 }, { unique: true });
    const count = () =>
      counters.findOneAndUpdate({ key: 'k' }, { $inc: { n: 1 } }, { upsert: true, returnDocument: 'after' });
    await Promise.all(Array.from({ length: 50 }, count));
    expect(await counters.find({}, { projection: { _id: 0 } }).toArray()).toEqual([{ key: 'k', n: 50 }]);
  });

  it('goes on with sorted cursors over many batches', async () => {
    const rows = await fresh('rows');
    await rows.insertMany(Array.from({ length: 500 }, (_, i) => ({ _id: i, n: (i * 7919) % 500 })));
    const sorted = await rows.find({}).sort({ n: 1 }).batchSize(37).toArray();
    expect(sorted.map(({ n }) => n)).toEqual(Array.from({ length: 500 }, (_, i) => i));
    expect(await rows.countDocuments({})).toBe(500);
    expect(await rows.estimatedDocumentCount()).toBe(500);
  });

  it('rolls a transaction back, and labels a conflict as one that may be tried again', async () => {
    const accounts = await fresh('accounts');
    await accounts.insertOne({ _id: 1, n: 0 });
    const [a, b] = [await connection.startSession(), await connection.startSession()];
    try {
      a.startTransaction();
      await accounts.updateOne({ _id: 1 }, { $inc: { n: 1 } }, { session: a });
      b.startTransaction();
      const conflict = accounts.updateOne({ _id: 1 }, { $inc: { n: 10 } }, { session: b });
      await expect(conflict).rejects.toMatchObject({ errorLabelSet: new Set(['TransientTransactionError']) });
      await a.abortTransaction();
      expect(await accounts.findOne({ _id: 1 })).toEqual({ _id: 1, n: 0 });
      await a.withTransaction(() => accounts.updateOne({ _id: 1 }, { $inc: { n: 100 } }, { session: a }));
      expect(await accounts.findOne({ _id: 1 })).toEqual({ _id: 1, n: 100 });
    } finally {
      await b.abortTransaction().catch(() => undefined);
      await Promise.all([a.endSession(), b.endSession()]);
    }
  });

  it('gives up a command at its time limit, and the next one on that connection has none', async () => {
    const slow = await fresh('slow');
    await slow.insertMany(Array.from({ length: 2000 }, (_, i) => ({ _id: i, g: i % 3 })));
    const product = [
      { $lookup: { from: 'slow', localField: 'g', foreignField: 'g', as: 'all' } },
      { $unwind: '$all' },
      { $count: 'n' },
    ];
    await expect(slow.aggregate(product, { maxTimeMS: 20 }).toArray()).rejects.toMatchObject({ code: 50 });
    expect(await slow.countDocuments({ g: 0 })).toBe(667);
  });
});
