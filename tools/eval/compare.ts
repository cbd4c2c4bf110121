import { cosine } from '../../apps/inference/src/pipeline/vector.js';
import type { Embedding } from './faces.js';
import { UsageError } from './fault.js';
import { type Pair, personOf } from './pairs.js';
import { seededRandom, shuffled } from './statistics.js';

/** One comparison. People are folder names. */
export type OnScore = (personA: string, personB: string, score: number) => void;

/** Impostor comparisons of one picture a person grow with the square of the people: beyond this many, a drawn sample. */
const PEOPLE_MAX = 12_000;
/** Probes of one person in the template protocol: a much photographed person must not outweigh the others. */
const PROBES_PER_PERSON = 3;
/** A person whose face was not found is not let in. */
const NOT_FOUND = -1;

const vectorOf = (e: Embedding | undefined): Float32Array | null => (e?.kind === 'face' ? e.vector : null);

/**
 * Each listed pair. Where no face was found a genuine pair scores −1 (it is refused), an impostor pair is left out (it
 * would flatter the false match rate): then its score is NaN.
 */
export function comparePairs(pairs: readonly Pair[], faces: ReadonlyMap<string, Embedding>): number[] {
  return pairs.map(({ fileA, fileB, same }) => {
    const a = vectorOf(faces.get(fileA));
    const b = vectorOf(faces.get(fileB));
    if (a && b) return cosine(a, b);
    return same ? NOT_FOUND : NaN;
  });
}

/** Files by person, in the order of their names, only those with a face. */
export function facesByPerson(faces: ReadonlyMap<string, Embedding>): Map<string, Float32Array[]> {
  const out = new Map<string, Float32Array[]>();
  for (const file of [...faces.keys()].sort()) {
    const vector = vectorOf(faces.get(file));
    if (!vector) continue;
    const person = personOf(file);
    out.set(person, [...(out.get(person) ?? []), vector]);
  }
  return out;
}

/** Every two people, the first picture of each or every picture of both. Returns how many people. */
export function compareAllVsAll(
  faces: ReadonlyMap<string, Embedding>,
  { seed, everyImage }: { seed: number; everyImage: boolean },
  onImpostor: OnScore,
): number {
  const all = [...facesByPerson(faces)];
  const people = all.length > PEOPLE_MAX ? shuffled(all, seededRandom(seed)).slice(0, PEOPLE_MAX) : all;
  for (let i = 0; i < people.length; i++) {
    const [personA, facesA] = people[i]!;
    for (let j = 0; j < i; j++) {
      const [personB, facesB] = people[j]!;
      for (const a of everyImage ? facesA : [facesA[0]!])
        for (const b of everyImage ? facesB : [facesB[0]!]) onImpostor(personA, personB, cosine(a, b));
    }
  }
  return people.length;
}

/** Several faces of one person as one. */
export type Mean = (vectors: readonly Float32Array[]) => Float32Array;

export interface TemplateProtocol {
  template: number;
  probe: number;
  seed: number;
  mean: Mean;
}

interface Subject {
  person: string;
  template: Float32Array | null;
  probes: Float32Array[];
  /** The template's pictures are not among the first probe's. */
  disjoint: boolean;
}

/**
 * A template of the mean of some pictures of a person against probes of others, as the product makes both. Genuine:
 * people with enough pictures for both, each picture used once, at most three probes a person. Impostor: each template
 * against one probe of everyone else, people with pictures for one of the two included.
 */
export function compareTemplates(
  faces: ReadonlyMap<string, Embedding>,
  { template, probe, seed, mean }: TemplateProtocol,
  onGenuine: OnScore,
  onImpostor: OnScore,
): { peopleGenuine: number; people: number } {
  const random = seededRandom(seed);
  const subjects = [...facesByPerson(faces)].map(([person, vectors]) =>
    subjectOf(person, shuffled(vectors, random), { template, probe, mean }),
  );
  let peopleGenuine = 0;
  for (const s of subjects) {
    if (!s.template || !s.disjoint) continue;
    peopleGenuine++;
    for (const p of s.probes) onGenuine(s.person, s.person, cosine(s.template, p));
  }
  if (peopleGenuine === 0) throw new UsageError(`nobody has ${template + probe} pictures with a face`);
  for (const [i, a] of subjects.entries())
    for (const [j, b] of subjects.entries()) {
      // With as many pictures on both sides, (a, b) and (b, a) may be the same comparison.
      const twice = template === probe && !a.disjoint && !b.disjoint && j > i;
      if (i === j || twice || !a.template || !b.probes[0]) continue;
      onImpostor(a.person, b.person, cosine(a.template, b.probes[0]));
    }
  return { peopleGenuine, people: subjects.filter((s) => s.template ?? s.probes[0]).length };
}

function subjectOf(
  person: string,
  faces: readonly Float32Array[],
  { template, probe, mean }: Omit<TemplateProtocol, 'seed'>,
): Subject {
  const disjoint = faces.length >= template + probe;
  const rest = disjoint ? faces.slice(template) : faces;
  const probes: Float32Array[] = [];
  for (let at = 0; at + probe <= rest.length && probes.length < PROBES_PER_PERSON; at += probe)
    probes.push(mean(rest.slice(at, at + probe)));
  return {
    person,
    template: faces.length >= template ? mean(faces.slice(0, template)) : null,
    probes,
    disjoint,
  };
}
