import fc from 'fast-check';
import { consistencyProof, GrowingTree, inclusionProof, isConsistent, isIncluded, leafHash, rootOf } from './merkle.js';

/** The inputs and roots of the certificate-transparency reference implementation (its merkle_tree_test). */
const INPUTS = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const leaves = INPUTS.map((hex) => leafHash(Buffer.from(hex, 'hex')));
const hex = (hashes: Buffer[]): string[] => hashes.map((hash) => hash.toString('hex'));

describe('Merkle tree (RFC 6962)', () => {
  it('gives the roots of the reference implementation', () => {
    expect(rootOf([]).toString('hex')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    expect(ROOTS).toEqual(leaves.map((_, i) => rootOf(leaves.slice(0, i + 1)).toString('hex')));
  });

  it('gives its audit paths and consistency proofs', () => {
    expect(hex(inclusionProof(leaves, 0))).toEqual([
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ]);
    expect(hex(inclusionProof(leaves, 5))).toEqual([
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ]);
    expect(hex(inclusionProof(leaves.slice(0, 3), 2))).toEqual([
      'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    ]);
    expect(hex(consistencyProof(leaves, 6))).toEqual([
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ]);
    expect(hex(consistencyProof(leaves.slice(0, 5), 2))).toEqual([
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ]);
  });

  it('proves every leaf and every beginning of trees of all sizes to 40, and nothing else', () => {
    const many = Array.from({ length: 40 }, (_, i) => leafHash(String(i)));
    for (let size = 1; size <= many.length; size++) {
      const tree = many.slice(0, size);
      const root = rootOf(tree);
      for (let index = 0; index < size; index++) {
        const proof = inclusionProof(tree, index);
        const leaf = tree[index]!;
        expect(isIncluded({ leaf, index, size, proof, root })).toBe(true);
        expect(isIncluded({ leaf, index: index + 1, size, proof, root })).toBe(false);
        expect(isIncluded({ leaf: leafHash('x'), index, size, proof, root })).toBe(false);
        expect(isIncluded({ leaf, index, size, proof: [...proof, root], root })).toBe(false);
        const first = { size: index + 1, root: rootOf(tree.slice(0, index + 1)) };
        const consistency = consistencyProof(tree, index + 1);
        expect(isConsistent({ first, second: { size, root }, proof: consistency })).toBe(true);
        expect(isConsistent({ first: { ...first, root: leafHash('x') }, second: { size, root }, proof: consistency })).toBe(false); // prettier-ignore
        expect(isConsistent({ first, second: { size, root: leafHash('x') }, proof: consistency })).toBe(false);
      }
    }
  });

  it('goes on from its subtrees as if it had never stopped', () => {
    fc.assert(
      fc.property(fc.nat(200), fc.nat(200), (before, after) => {
        const all = Array.from({ length: before + after }, (_, i) => leafHash(String(i)));
        const first = new GrowingTree();
        for (const leaf of all.slice(0, before)) first.append(leaf);
        const second = new GrowingTree(first.size, first.subtrees);
        for (const leaf of all.slice(before)) second.append(leaf);
        expect(second.root()).toEqual(rootOf(all));
      }),
      { numRuns: 50 },
    );
  });
});
