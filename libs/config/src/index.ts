export { ConfigError, env, givenEnvironment, parseEnv } from './env.js';
export { checkDatabase, checkServer, makesIndexes, redisServer, serverPolicy, type ServerPolicy } from './servers.js';
export { productionDemand } from './production.js';
export { KEY_PURPOSES, keyFiles, knownKeys, type KnownKey } from './keys.js';
