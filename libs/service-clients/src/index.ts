export { CLIENT_SCOPES, type ClientScope, clientScopeSchema } from './scopes.js';
export { type ClientView, type NewSecret, ServiceClientStore } from './store.js';
