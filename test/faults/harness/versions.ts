import { createConnection } from 'mongoose';
import { cacheFolder, findRedis, type Services } from '#stack';

/** Which servers the rows were made on, as they say themselves. */
export async function versionsOf({ mongoUri, chosen }: Services): Promise<string> {
  const redis = (await findRedis(process.env, cacheFolder, () => undefined)).chosen;
  const connection = await createConnection(mongoUri).asPromise();
  try {
    const { version } = (await connection.getClient().db('admin').command({ buildInfo: 1 })) as { version?: string };
    const mongo = chosen.mongo.replace(/ of Debian's packages, unpacked privately/, '');
    return `${redis.replace(/ of Debian's packages, unpacked privately/, '')}; ${mongo}, serves version ${version ?? 'unknown'}`;
  } finally {
    await connection.close();
  }
}
