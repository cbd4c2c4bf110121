import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { telemetry } from './services.js';

it('case 1: doctor says whether onnxruntime has written what it would report', () => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'doctor-'));
  try {
    expect(telemetry({ HOME: home })).toMatchObject({ verdict: 'ok' });
    const folder = path.join(home, '.cache/Microsoft/DeveloperTools/.onnxruntime');
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, 'onnxruntime.db'), '');
    expect(telemetry({ HOME: home })).toMatchObject({
      verdict: 'note',
      found: expect.stringContaining(folder) as string,
    });
    expect(telemetry({ HOME: home, XDG_CACHE_HOME: path.join(home, 'elsewhere') })).toMatchObject({ verdict: 'ok' });
  } finally {
    fs.rmSync(home, { recursive: true, force: true });
  }
});
