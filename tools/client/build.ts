import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { repositoryRoot } from '#stack';
import { gatewayDocument } from './document.js';
import { OPERATIONS } from './operations.js';
import { typesOf } from './types.js';

const HELP = `npm run client:build

Makes the types of libs/client from the gateway's OpenAPI document. A test holds the two equal.`;

function main(): void {
  const { values } = parseArgs({ options: { help: { type: 'boolean', short: 'h' } } });
  if (values.help) return console.log(HELP);
  const file = path.join(repositoryRoot(), 'libs/client/src/api.ts');
  writeFileSync(file, typesOf(gatewayDocument(), OPERATIONS));
  console.log(`${path.relative(repositoryRoot(), file)}: ${OPERATIONS.length} operations`);
}

main();
