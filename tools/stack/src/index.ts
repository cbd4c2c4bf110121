export {
  type Services,
  type ServiceControl,
  type ServiceName,
  type ServicesOptions,
  startServices,
} from './services.js';
