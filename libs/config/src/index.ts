export { ConfigError, env, parseEnv } from './env.js';
export { KEY_PURPOSES, knownKeys, type KnownKey } from './keys.js';
