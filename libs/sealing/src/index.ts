export { canonicalJson, valueDigest } from './canonical-json.js';
export { KEY_ID, keyOf, type KeySet, type NamedKey, newestOf, openWithAny } from './key-set.js';
export { open, openText, seal, sealText, SealError } from './seal.js';
export { openWith, sealingPublicKey, sealTo } from './seal-to.js';
export { type Signature, signingPublicKey, signValue, type Verification, verifyValue } from './sign.js';
export { uuidOf } from './uuid-of.js';
