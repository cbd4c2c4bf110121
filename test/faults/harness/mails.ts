import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type ParsedMail, simpleParser } from 'mailparser';
import type { Fleet } from './fleet.js';
import type { Device } from './people.js';

/** The mails that came for each with such a subject, in the order of people. */
export async function mailsOf(fleet: Fleet, persons: readonly Device[], subjectHas: string): Promise<ParsedMail[][]> {
  const folder = fleet.services.mailDir;
  const files = readdirSync(folder).filter((name) => name.endsWith('.eml'));
  const all = await Promise.all(files.map((name) => simpleParser(readFileSync(path.join(folder, name)))));
  const fits = all.filter(({ subject }) => subject?.includes(subjectHas));
  return persons.map(({ email }) => fits.filter(({ to }) => [to].flat().some((one) => one?.text.includes(email))));
}
