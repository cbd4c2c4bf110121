import { mongo } from 'mongoose';
import { loadConfig } from '../../../apps/audit/src/config.js';
import { startAudit } from '../../../apps/audit/src/start.js';
import { Probe } from './probe.js';

/** The audit service as it is, with a point of the probe before and after every call that writes in the database. */
const probe = Probe.fromEnvironment();
const WRITES = ['insertOne', 'insertMany', 'updateOne', 'updateMany', 'findOneAndUpdate', 'deleteOne', 'deleteMany', 'bulkWrite'] as const; // prettier-ignore

type Method = (this: mongo.Collection, ...args: unknown[]) => Promise<unknown>;

async function main(): Promise<void> {
  const collection = mongo.Collection.prototype as unknown as Record<string, Method>;
  for (const name of WRITES) {
    const real = collection[name];
    if (!real) throw new Error(`the driver has no ${name}`);
    collection[name] = async function (...args) {
      const point = `${name} ${this.collectionName}`;
      await probe.at(`${point}:before`);
      const result = await real.apply(this, args);
      await probe.at(`${point}:after`);
      return result;
    };
  }
  await startAudit(loadConfig());
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
