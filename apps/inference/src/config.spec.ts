import { loadConfig } from './config.js';

const key = (fill: number): string => `k${fill}:${Buffer.alloc(32, fill).toString('base64url')}`;
const GOOD = {
  REDIS_URL: 'redis://127.0.0.1:6379',
  HEALTH_PORT: '8081',
  TEMPLATE_KEK: key(7),
  EVIDENCE_KEY: `${key(2)},${key(1)}`,
  FRAME_PRIVATE_KEYS: key(3),
  RESULT_PRIVATE_KEY: key(4),
  SIMILARITY_PUBLIC_KEY: key(5),
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
    expect(config.EVIDENCE_KEY.map(({ id }) => id)).toEqual(['k2', 'k1']);
  });

  it.each([
    ['REDIS_URL', 'http://canary'],
    ['HEALTH_PORT', 'canary'],
    ['TEMPLATE_KEK', 'canary'],
    ['FRAME_PRIVATE_KEYS', `${key(1)},canary`],
    ['EVIDENCE_KEY', `${key(1)},${key(1)}`],
    ['INFERENCE_THREADS', '0'],
  ])('names a bad %s and does not print it', (name, value) => {
    const load = (): unknown => loadConfig({ ...GOOD, [name]: value });
    expect(load).toThrow(name);
    expect(load).not.toThrow('canary');
  });
});
