export { open, openText, seal, sealText, SealError } from './seal.js';
