import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { repositoryRoot } from '#stack';
import { DOCUMENTS } from './documents.js';

const HELP = `npm run docs:build

Writes the documents that are made from the code: ${Object.keys(DOCUMENTS).join(', ')}.
A test holds them equal to the code.`;

function main(): void {
  const { values } = parseArgs({ options: { help: { type: 'boolean', short: 'h' } } });
  if (values.help) return console.log(HELP);
  for (const [file, make] of Object.entries(DOCUMENTS)) {
    writeFileSync(path.join(repositoryRoot(), file), make());
    console.log(file);
  }
}

main();
