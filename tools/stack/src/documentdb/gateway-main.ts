import { listen } from './gateway.js';

/** The wire gateway as a process of its own, so that what it does under load does not slow the tests or the stack. */
async function main(): Promise<void> {
  const { COUNTERSIGN_PG_URL: pgUrl, COUNTERSIGN_MONGO_PORT: port } = process.env;
  if (!pgUrl || !port) throw new Error('COUNTERSIGN_PG_URL and COUNTERSIGN_MONGO_PORT are needed');
  const gateway = await listen(pgUrl, Number(port));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void gateway.close().finally(() => process.exit(0)));
  }
  console.log(`listening on 127.0.0.1:${gateway.port}`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
