export { ConfigError, env, parseEnv } from './env.js';
