import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createTransport } from 'nodemailer';
import { type MailCatcher, startMailCatcher } from './mail.js';

describe('the mail catcher', () => {
  let dir: string;
  let catcher: MailCatcher;
  const lines: string[] = [];
  beforeEach(async () => {
    dir = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'mail-')), 'mail');
    lines.length = 0;
    catcher = await startMailCatcher(dir, (line) => lines.push(line));
  });
  afterEach(async () => {
    await catcher.stop();
    fs.rmSync(path.dirname(dir), { recursive: true, force: true });
  });

  it('writes each message into a file of its own that only we can read, and one line of log', async () => {
    const transport = createTransport(catcher.url);
    for (const text of ['first', 'second']) {
      await transport.sendMail({ from: 'a@x.test', to: 'b@y.test', subject: 'Locked: é', text });
    }
    transport.close();
    const files = fs.readdirSync(dir).sort();
    expect(files).toHaveLength(2);
    expect(files.every((file) => file.endsWith('.eml'))).toBe(true);
    expect(files.map((file) => fs.statSync(path.join(dir, file)).mode & 0o777)).toEqual([0o600, 0o600]);
    expect(fs.readFileSync(path.join(dir, files[0] ?? ''), 'utf8')).toContain('first');
    expect(lines).toEqual(Array(2).fill('mail: a@x.test → b@y.test: Locked: é'));
  });

  it('does not let a subject move the cursor of the terminal', async () => {
    const transport = createTransport(catcher.url);
    await transport.sendMail({ from: 'a@x.test', to: 'b@y.test', subject: 'hi\u001b[2Jthere\u202e', text: '' });
    transport.close();
    expect(lines).toEqual(['mail: a@x.test → b@y.test: hi [2Jthere ']);
  });
});
