import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { cacheFolder } from './folders.js';

describe('case 17: a user without a home', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'folders-'));
  afterEach(() => jest.restoreAllMocks());
  afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));
  const asSomebody = (): void => void jest.spyOn(process, 'getuid').mockReturnValue(fs.statSync(dir).uid || 12_345);

  it('is told which variable helps, not what the system said', () => {
    asSomebody();
    jest.spyOn(os, 'homedir').mockImplementation(() => {
      throw new Error('A system error occurred: uv_os_homedir returned ENOENT (no such file or directory)');
    });
    expect(() => cacheFolder({})).toThrow(/^this user has no home folder: set COUNTERSIGN_CACHE_DIR/);
  });

  it('is told so, too, of a folder that cannot be made', () => {
    asSomebody();
    const file = path.join(dir, 'a-file');
    fs.writeFileSync(file, '');
    jest.spyOn(os, 'homedir').mockReturnValue(file);
    expect(() => cacheFolder({})).toThrow(/cannot be made: set COUNTERSIGN_CACHE_DIR/);
  });
});
