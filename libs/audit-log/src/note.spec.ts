import { noteSigner, noteVerifier, openCheckpoint, signCheckpoint } from './note.js';

describe('signed checkpoints (C2SP)', () => {
  // RFC 8032, 7.1, test 1: the seed and its public key.
  const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
  const publicKey = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';
  const signer = noteSigner('auth.example.test/audit', seed);
  const checkpoint = { origin: 'auth.example.test/audit', size: 256, root: Buffer.alloc(32, 7) };
  const note = signCheckpoint(signer, checkpoint);

  it('have the form of the specification', () => {
    const [name, hash, key] = signer.vkey.split('+', 3);
    expect([name, hash]).toEqual(['auth.example.test/audit', signer.keyId.toString('hex')]);
    expect(Buffer.from(signer.vkey.slice(`${name}+${hash}+`.length), 'base64').toString('hex')).toBe(`01${publicKey}`);
    expect(key).toBeDefined();
    expect(note).toMatch(
      /^auth\.example\.test\/audit\n256\n[A-Za-z0-9+/]{43}=\n\n— auth\.example\.test\/audit [A-Za-z0-9+/]{91}=\n$/,
    );
  });

  it('knows the example of the specification for what it is', () => {
    // The verifier key and note that golang.org/x/mod/sumdb/note documents.
    const verifier = noteVerifier('PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW');
    expect(verifier.keyId.toString('hex')).toBe('c74f20a3');
  });

  it('open for the holder of the verifier key only', () => {
    expect(openCheckpoint(noteVerifier(signer.vkey), note)).toEqual(checkpoint);
    const other = noteSigner('auth.example.test/audit', Buffer.alloc(32, 1));
    expect(openCheckpoint(other, note)).toBeNull();
    expect(openCheckpoint(noteSigner('another', seed), note)).toBeNull();
    const witnessed = `${note}— witness.example ${Buffer.alloc(68).toString('base64')}\n`;
    expect(openCheckpoint(signer, witnessed)).toEqual(checkpoint);
  });

  it('do not open when any bit of any byte differs', () => {
    const bytes = Buffer.from(note);
    for (let i = 0; i < bytes.length * 8; i++) {
      const bad = Buffer.from(bytes);
      bad[i >> 3] = bad[i >> 3]! ^ (1 << (i & 7));
      expect(openCheckpoint(signer, bad.toString('utf8'))).toBeNull();
    }
  });

  it('refuses a verifier key whose hash is not its own', () => {
    expect(() => noteVerifier(signer.vkey.replace(/\+[0-9a-f]{8}\+/, '+00000000+'))).toThrow('no verifier key');
    expect(() => noteSigner('two words', seed)).toThrow('name');
  });
});
