// The image that stands in for Mailpit: takes every mail, and answers the two questions of its API that the test asks.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { type AddressObject, type ParsedMail, simpleParser } from 'mailparser';
import { startMailCatcher } from '../../../tools/stack/src/mail.js';

const FOLDER = '/tmp/mails';

const addressesOf = (of: AddressObject | AddressObject[] | undefined): { Address: string }[] =>
  [of ?? []].flat().flatMap(({ value }) => value.map(({ address = '' }) => ({ Address: address })));

const read = (id: string): Promise<ParsedMail> => simpleParser(fs.readFileSync(path.join(FOLDER, path.basename(id))));

async function answer(url: string): Promise<unknown> {
  const [, id] = /^\/api\/v1\/message\/([\w.-]+)$/.exec(url) ?? [];
  if (id) {
    const mail = await read(id);
    return { ID: id, Subject: mail.subject, To: addressesOf(mail.to), Text: mail.text };
  }
  if (!/^\/api\/v1\/messages(\?|$)/.test(url)) return null;
  const names = fs.readdirSync(FOLDER).filter((name) => name.endsWith('.eml'));
  const messages = await Promise.all(
    names
      .sort()
      .reverse()
      .map(async (ID) => {
        const mail = await read(ID);
        return { ID, Subject: mail.subject, To: addressesOf(mail.to) };
      }),
  );
  return { total: messages.length, messages };
}

async function main(): Promise<void> {
  await startMailCatcher(FOLDER, (line) => console.log(line), { host: '0.0.0.0', port: 1025 });
  http
    .createServer((request, response) => {
      answer(request.url ?? '').then(
        (body) => response.writeHead(body === null ? 404 : 200, { 'content-type': 'application/json' }).end(JSON.stringify(body)), // prettier-ignore
        () => response.writeHead(500).end(),
      );
    })
    .listen(8025, '0.0.0.0');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(0));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
