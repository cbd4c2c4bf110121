export { type AppName, operatorEnvironment, withDatabase, withRedisDatabase } from './app-environment.js';
export { type Apps, type AppsOptions, startApps } from './apps.js';
export { developmentCertificate } from './certificates.js';
export { repositoryRoot, temporaryFolder } from './folders.js';
export { type Lock, tryLock } from './lock.js';
export {
  type ServiceControl,
  type ServiceName,
  type Services,
  type ServicesOptions,
  startServices,
} from './services.js';
export { servicesOfTestRun, testEnvironment } from './test-services.js';
