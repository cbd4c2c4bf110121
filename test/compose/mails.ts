import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

const listSchema = z.looseObject({
  messages: z.array(z.looseObject({ ID: z.string(), To: z.array(z.looseObject({ Address: z.string() })) })),
});
const messageSchema = z.looseObject({ Text: z.string() });
const WAIT_MS = 30_000;

/** The mails that Mailpit caught, by its API (https://mailpit.axllent.org/docs/api-v1/). */
export class Mails {
  constructor(private readonly url: string) {}

  /** The token of the newest mailed link to a page, when there is one. */
  async token(address: string, page: string): Promise<string> {
    const link = new RegExp(`/${page}\\?token=([\\w.~-]+)`);
    for (const end = performance.now() + WAIT_MS; performance.now() < end; await sleep(500)) {
      for (const text of await this.to(address)) {
        const token = link.exec(text)?.[1];
        if (token) return token;
      }
    }
    throw new Error(`no mail to ${address} with a link to /${page} within ${WAIT_MS / 1000} s`);
  }

  private async to(address: string): Promise<string[]> {
    const { messages } = listSchema.parse(await this.get('/api/v1/messages?limit=200'));
    const own = messages.filter(({ To }) => To.some(({ Address }) => Address === address));
    return Promise.all(own.map(async ({ ID }) => messageSchema.parse(await this.get(`/api/v1/message/${ID}`)).Text));
  }

  private async get(path: string): Promise<unknown> {
    const response = await fetch(this.url + path, { signal: AbortSignal.timeout(10_000) });
    if (!response.ok) throw new Error(`${path} of the mail catcher: ${response.status}`);
    return response.json();
  }
}
