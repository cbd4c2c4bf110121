import path from 'node:path';
import { readCsv } from './csv.js';
import { UsageError } from './fault.js';
import { mostAccurateThreshold, seededRandom, shuffled, sortedScores } from './statistics.js';

export interface Pair {
  fileA: string;
  fileB: string;
  same: boolean;
  fold?: string;
}

const TRUE = new Set(['1', 'true', 'same', 'yes']);
const FALSE = new Set(['0', 'false', 'different', 'no']);

/** The person in a picture: the folder it lies in. */
export const personOf = (file: string): string => path.posix.dirname(file.replaceAll('\\', '/'));

/** `fileA,fileB,same[,fold]`. Throws UsageError with the line. */
export function readPairs(file: string): Pair[] {
  const name = path.basename(file);
  const rows = readCsv(file, ['fileA', 'fileB', 'same'], ['fold']);
  if (rows.length === 0) throw new UsageError(`${name}: no pairs`);
  return rows.map(({ line, values }) => {
    const same = values.same!.toLowerCase();
    if (!TRUE.has(same) && !FALSE.has(same)) throw new UsageError(`${name}:${line}: "same" is not 0 or 1: ${same}`);
    const fold = values.fold;
    if (fold === '') throw new UsageError(`${name}:${line}: "fold" is empty`);
    return { fileA: values.fileA!, fileB: values.fileB!, same: TRUE.has(same), ...(fold ? { fold } : {}) };
  });
}

/** A fold's tested pairs, and those its threshold may be taken from. */
export interface Fold {
  test: number[];
  train: number[];
}

/**
 * With a `fold` column: each fold against all others, as LFW does it. Without: people are dealt to folds by the seed;
 * a fold tests the pairs whose people are both in it and trains on the pairs whose people are both outside, so that
 * nobody is in both. Pairs across folds are tested nowhere.
 */
export function foldsOf(pairs: readonly Pair[], folds: number, seed: number): Fold[] {
  const all = pairs.map((_, i) => i);
  if (pairs.every((p) => p.fold !== undefined)) {
    const names = [...new Set(pairs.map((p) => p.fold!))].sort();
    return names.map((name) => ({
      test: all.filter((i) => pairs[i]!.fold === name),
      train: all.filter((i) => pairs[i]!.fold !== name),
    }));
  }
  const people = [...new Set(pairs.flatMap((p) => [personOf(p.fileA), personOf(p.fileB)]))].sort();
  const foldOf = new Map(shuffled(people, seededRandom(seed)).map((person, i) => [person, i % folds]));
  const of = (file: string): number => foldOf.get(personOf(file))!;
  return Array.from({ length: folds }, (_, f) => ({
    test: all.filter((i) => of(pairs[i]!.fileA) === f && of(pairs[i]!.fileB) === f),
    train: all.filter((i) => of(pairs[i]!.fileA) !== f && of(pairs[i]!.fileB) !== f),
  }));
}

export interface FoldedAccuracy {
  /** Mean over the folds of the share of right decisions; null when no fold can be tested. */
  accuracy: number | null;
  standardError: number | null;
  folds: number;
  tested: number;
  testedGenuine: number;
}

/** Every fold decided with the threshold that is most accurate on the pairs outside of it. */
export function foldedAccuracy(
  pairs: readonly Pair[],
  scores: readonly number[],
  folds: readonly Fold[],
): FoldedAccuracy {
  const accuracies: number[] = [];
  let tested = 0;
  let testedGenuine = 0;
  for (const { test, train } of folds) {
    const of = (indices: readonly number[], same: boolean): number[] =>
      indices.filter((i) => pairs[i]!.same === same).map((i) => scores[i]!);
    if (test.length === 0 || train.length === 0) continue;
    const threshold = mostAccurateThreshold(sortedScores(of(train, true), of(train, false)));
    const right = test.filter((i) => scores[i]! >= threshold === pairs[i]!.same).length;
    accuracies.push(right / test.length);
    tested += test.length;
    testedGenuine += of(test, true).length;
  }
  const k = accuracies.length;
  const mean = accuracies.reduce((a, b) => a + b, 0) / k;
  const variance = accuracies.reduce((a, b) => a + (b - mean) ** 2, 0) / (k - 1);
  return {
    accuracy: k > 0 ? mean : null,
    standardError: k > 1 ? Math.sqrt(variance / k) : null,
    folds: k,
    tested,
    testedGenuine,
  };
}
