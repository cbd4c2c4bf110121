import { loadConfig } from './config.js';

const GOOD = {
  REDIS_URL: 'redis://127.0.0.1:6379',
  HEALTH_PORT: '8081',
  TEMPLATE_KEK: Buffer.alloc(32, 7).toString('base64url'),
};

describe('configuration', () => {
  it('has defaults for what need not be set', () => {
    const config = loadConfig(GOOD);
    expect(config).toMatchObject({
      MODEL_MANIFEST: 'models/manifest.json',
      HEALTH_HOST: '127.0.0.1',
      LOG_LEVEL: 'info',
    });
    expect(config.INFERENCE_THREADS).toBeUndefined();
    expect(config.TEMPLATE_KEK).toHaveLength(32);
  });

  it.each([
    ['REDIS_URL', 'http://canary'],
    ['HEALTH_PORT', 'canary'],
    ['TEMPLATE_KEK', 'canary'],
    ['INFERENCE_THREADS', '0'],
  ])('names a bad %s and does not print it', (name, value) => {
    const load = (): unknown => loadConfig({ ...GOOD, [name]: value });
    expect(load).toThrow(name);
    expect(load).not.toThrow('canary');
  });
});
