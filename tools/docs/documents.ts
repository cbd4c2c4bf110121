import { apiDocument } from './api.js';
import { commandLineDocument } from './command-line.js';
import { configurationDocument } from './configuration.js';
import { errorsDocument } from './errors.js';

/** Documents that are made from the code, by their path in the repository. */
export const DOCUMENTS: Readonly<Record<string, () => string>> = {
  'docs/api.md': apiDocument,
  'docs/cli.md': commandLineDocument,
  'docs/configuration.md': configurationDocument,
  'docs/errors.md': errorsDocument,
};
