import { parseArgs } from 'node:util';
import { CountersignClient } from '#client';
import { relyingApp } from './app.js';

const HELP = `npm run example [-- --port N]

An application with a home page (pwd+recovery or pwd+face) and a transfer (pwd+face, shown in the last 5 minutes).
Its page sends a token made for this client: POST /v1/sessions/tokens {"clientId": "…"} with the session's token.

  COUNTERSIGN_URL            where the gateway is (default http://localhost:3000)
  COUNTERSIGN_CLIENT_ID      from: npm run -s countersign -- client create NAME --scope introspect
  COUNTERSIGN_CLIENT_SECRET  from there, too
  TRANSFER_MAX_AGE           seconds (default 300)`;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { port: { type: 'string' }, help: { type: 'boolean', short: 'h' } } });
  if (values.help) return console.log(HELP);
  const { COUNTERSIGN_URL = 'http://localhost:3000', TRANSFER_MAX_AGE = '300', ...env } = process.env;
  const [clientId, secret] = [env.COUNTERSIGN_CLIENT_ID, env.COUNTERSIGN_CLIENT_SECRET];
  if (!clientId || !secret)
    throw new Error(`COUNTERSIGN_CLIENT_ID and COUNTERSIGN_CLIENT_SECRET are needed\n\n${HELP}`);
  const transferMaxAge = Number(TRANSFER_MAX_AGE);
  if (!(transferMaxAge > 0)) throw new Error('TRANSFER_MAX_AGE must be seconds');

  const countersign = new CountersignClient({ baseUrl: COUNTERSIGN_URL, credentials: { clientId, secret } });
  const app = relyingApp(countersign, { transferMaxAge });
  const address = await app.listen({ host: '127.0.0.1', port: Number(values.port ?? 3100) });
  console.log(`relying application at ${address}, asking ${COUNTERSIGN_URL}`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void app.close());
}

main().catch((error: unknown) => {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
});
