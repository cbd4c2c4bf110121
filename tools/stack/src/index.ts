export {
  type AppName,
  appEnvironment,
  gatewayUrl,
  operatorEnvironment,
  withDatabase,
  withRedisDatabase,
} from './app-environment.js';
export { type Apps, type AppsOptions, startApps } from './apps.js';
export { developmentCertificate } from './certificates.js';
export { type Clock, movableClock } from './clock.js';
export { type PackageSet } from './debian/index.js';
export { findProgram, type Program, unpackedPackages } from './debian-program.js';
export { cacheFolder, repositoryRoot, temporaryFolder } from './folders.js';
export { developmentKeys } from './keys.js';
export { isAlive, type Lock, tryLock, waitForLock } from './lock.js';
export { findNginx, type Nginx, startNginx } from './nginx.js';
export { anyFreePort } from './ports.js';
export { ManagedProcess } from './process.js';
export { exitAs, wrongly } from './program.js';
export { run } from './shell.js';
export { findRedis, type Redis, startRedis } from './redis.js';
export {
  type ServiceControl,
  type ServiceName,
  type Services,
  type ServicesOptions,
  startServices,
} from './services.js';
export { servicesOfTestRun, testEnvironment } from './test-services.js';
