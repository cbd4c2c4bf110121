import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';

export const ROOT = path.resolve(__dirname, '../..');

interface SourceFile {
  file: string;
  text: string;
}

/** All TypeScript files below these folders. Asks git, so that what is ignored stays out. */
export function typeScriptFiles(...folders: string[]): SourceFile[] {
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '--', ...folders], { cwd: ROOT });
  return listed
    .toString()
    .split('\n')
    .filter((file) => file.endsWith('.ts'))
    .map((file) => ({ file, text: readFileSync(path.join(ROOT, file), 'utf8') }));
}

/** The same, specs left out. */
export const sourceFiles = (...folders: string[]): SourceFile[] =>
  typeScriptFiles(...folders).filter(({ file }) => !file.endsWith('.spec.ts'));
