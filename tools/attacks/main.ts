import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { repositoryRoot } from '#stack';
import { readModelFiles } from '../../apps/inference/src/model/model-files.js';
import { rulesOf } from '../../apps/inference/src/model/model-inputs.js';
import { UsageError } from '../eval/fault.js';
import { positive, text, whole } from '../eval/options.js';
import { withSection } from '../eval/report.js';
import { AnalysisPool } from './analysis-pool.js';
import { PREFACE, reasonsOf, sectionsOf } from './document.js';
import { mediaActors } from './media-actors.js';
import { SPECIES } from './species.js';
import { runSuite, type SpeciesResult } from './suite.js';

const NAMES = Object.keys(SPECIES);

const HELP = `npm run attacks -- [OPTIONS]

Plays attacks made from the committed footage against the product's judgement and writes docs/attacks.md. Exit 0: no
attack passed that must not. 1: one did, or the run failed. 2: called wrongly.

  --only NAMES     some species, comma-separated; a table then holds only these
  --n N            attempts a species; some are played several times as often (64)
  --seed N         draws everything (7)
  --fps N          pictures a second, 15 to 30 (20)
  --variants N     different filmings of each attack (4)
  --threads N      threads that film and analyse (one a core, at most 4)
  --out FILE.json  also the figures as JSON
  --doc FILE       where the tables go (docs/attacks.md; "none" for nowhere)
  --help           this text

Species:
${NAMES.map((name) => `  ${name.padEnd(14)} ${SPECIES[name]!.what}`).join('\n')}`;

async function main(args: string[]): Promise<number> {
  const values = parse(args);
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const only = (text(values, 'only') ?? '').split(',').filter((name) => name !== '');
  for (const name of only)
    if (!NAMES.includes(name)) throw new UsageError(`no species "${name}" (${NAMES.join(', ')})`);
  const options = {
    only,
    seed: whole(values, 'seed', 7, 0),
    n: whole(values, 'n', 64, 1),
    fps: positive(values, 'fps', 20),
    variants: whole(values, 'variants', 4, 1),
  };
  if (options.fps < 15 || options.fps > 30) throw new UsageError('--fps is between 15 and 30');
  const { manifest, bytes } = await readModelFiles(path.join(repositoryRoot(), 'models/manifest.json'));
  const threads = whole(values, 'threads', Math.min(4, availableParallelism()), 1);
  const pool = await AnalysisPool.start(bytes, threads);
  try {
    const date = new Date().toISOString().slice(0, 10);
    const doc = text(values, 'doc') ?? path.join(repositoryRoot(), 'docs/attacks.md');
    const head = { command: ['attacks', ...args].join(' '), date, modelDigest: manifest.digest };
    const how = `${options.fps} pictures a second, ${options.variants} filmings of each, seed ${options.seed}.`;
    const soFar: SpeciesResult[] = [];
    // Written after each species: what was measured stays, should the rest be cut short.
    const told = (result: SpeciesResult): void => {
      soFar.push(result);
      const { name, tally } = result;
      const [accepted, n] = [`${tally.verified}`, `${tally.n}`];
      console.log(`${name.padEnd(14)} ${accepted.padStart(5)} of ${n.padStart(5)}   ${reasonsOf(tally.reasons)}`);
      if (doc !== 'none') write(doc, sectionsOf(soFar, how), head);
    };
    const results = await runSuite({ pool, rules: rulesOf(manifest) }, mediaActors(), options, told);
    const out = text(values, 'out');
    if (out) writeFileSync(out, `${JSON.stringify({ date, models: manifest.digest, ...options, results }, null, 2)}\n`);
    const passed = results.filter((r) => r.bar === 'none' && r.tally.verified > 0);
    if (passed.length > 0) console.error(`passed, and must not: ${passed.map((r) => r.name).join(', ')}`);
    return passed.length > 0 ? 1 : 0;
  } finally {
    await pool.stop();
  }
}

function write(
  file: string,
  sections: ReturnType<typeof sectionsOf>,
  head: { command: string; date: string; modelDigest: string },
): void {
  let document = existsSync(file) ? readFileSync(file, 'utf8') : PREFACE;
  for (const { title, section } of sections) document = withSection(document, { ...head, title }, section);
  writeFileSync(file, document);
}

function parse(args: string[]) {
  const string = { type: 'string' } as const;
  try {
    return parseArgs({
      args,
      options: {
        only: string,
        n: string,
        seed: string,
        fps: string,
        variants: string,
        threads: string,
        out: string,
        doc: string,
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : 'wrong options'} (--help)`);
  }
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(
      `error: ${error instanceof UsageError ? error.message : error instanceof Error ? error.stack : String(error)}`,
    );
    process.exit(error instanceof UsageError ? 2 : 1);
  },
);
