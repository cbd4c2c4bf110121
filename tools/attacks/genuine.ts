import { type Action, ACTIONS, CAPTURE_LIMITS, type StepVerdict } from '#contracts';
import { samplesOf, type StepAnalysis } from '../../apps/inference/src/pipeline/analyse.js';
import { chooseMean, judgeAttempt, type StepFindings } from '../../apps/inference/src/pipeline/judge-attempt.js';
import { judgeStep } from '../../apps/inference/src/pipeline/judge-step.js';
import type { Clip } from '../eval/clips.js';
import { progress } from '../eval/progress.js';
import { type Bench, nameOf } from './attempts.js';
import type { Look } from './camera.js';
import type { Cut, Cuts } from './cuts.js';
import { type Film, type FilmFrame, sampled } from './film.js';
import { between, oneOf, randomOf } from './random.js';
import { fits, type Scene, staged } from './scenes.js';

/** A camera and its place. All steps of an attempt are filmed by one. */
export interface Camera {
  fps: number;
  number: number;
  scene: Scene;
  look: Look;
}

/** A cut as one camera films it, and what the product says. */
export interface GenuineStep {
  cut: Cut;
  camera: Camera;
  findings: StepFindings;
  verdict: string;
}

export interface GenuineAttempt {
  person: string;
  fps: number;
  camera: number;
  scene: Scene;
  actions: readonly Action[];
  verdicts: string[];
  reason: string;
}

export interface GenuineResult {
  steps: GenuineStep[];
  attempts: GenuineAttempt[];
  /** People with fewer gestures than a challenge can be drawn from. */
  tooFewGestures: string[];
  leftOut: Cuts['leftOut'];
}

export interface GenuineOptions {
  seed: number;
  rates: readonly number[];
  /** Cameras a rate and scene; each films every cut that the scene fits. */
  cameras: number;
  scenes: readonly Scene[];
}

const GESTURES_MIN = 2;
const SOURCE_FPS_MAX = 30;
const ENROLMENT: Omit<Look, 'seed'> = { gain: 1, offset: 0, noise: 1, quality: 85, side: 640, crop: 0 };

/** Every cut by every camera, judged as a step (`failed` hears of each that is not done); then every order of three gestures that a person has, as attempts. */
export async function runGenuine(
  bench: Bench,
  { cuts, leftOut }: Cuts,
  clips: ReadonlyMap<string, Clip>,
  o: GenuineOptions,
  failed: (step: GenuineStep) => void,
): Promise<GenuineResult> {
  const cameras = o.scenes.flatMap((scene) =>
    o.rates.flatMap((fps) => Array.from({ length: o.cameras }, (_, n) => cameraOf(o.seed, fps, n, scene))),
  );
  const people = [...new Set(cuts.map((c) => c.person))];
  const films = cuts.reduce((n, cut) => n + 1 + cameras.filter((c) => fits(c.scene, cut.action)).length, 0);
  const bar = progress('genuine steps', films);
  const steps: GenuineStep[] = [];
  const enrolments = new Map<string, StepAnalysis[]>(people.map((p) => [p, []]));
  // One cut after the other: its pictures are held only while they are filmed.
  for (const cut of cuts) {
    const source = await read(clips.get(cut.file)!, cut);
    const film = (fps: number, look: Look, scene: Scene, seen: StepAnalysis | null): Promise<StepAnalysis> => {
      const key = `genuine/${idOf(cut)}/${cut.action}/${fps}/${look.seed}`;
      const own = { film: source, look: { ...look, seed: key } };
      const shown = seen ? staged(own.film, own.look, { scene, action: cut.action, seen: seen.track, random: randomOf('scene', key) }) : own; // prettier-ignore
      return bench.pool.analyse(key, () => Promise.resolve(asFilmed(shown.film, fps, key)), shown.look);
    };
    const first = await film(20, { ...ENROLMENT, seed: 'enrolment' }, 'plain', null);
    bar.tick();
    enrolments.get(cut.person)!.push(first);
    const filming = cameras.filter((c) => fits(c.scene, cut.action));
    const own = filming.map(async (camera): Promise<GenuineStep> => {
      const analysis = await film(camera.fps, camera.look, camera.scene, first);
      bar.tick();
      const verdict: StepVerdict = judgeStep(analysis.track, samplesOf(analysis), cut.action);
      const findings = { verdict, embeddings: analysis.embeddings, antispoof: analysis.antispoof };
      const step = { cut, camera, findings, verdict: nameOf(verdict) };
      if (verdict.kind !== 'done') failed(step);
      return step;
    });
    for (const step of await Promise.all(own)) steps.push(step);
  }
  bar.end();
  const attempts = people.flatMap((person) => {
    const template = chooseMean(enrolments.get(person)!, bench.rules.recognisers);
    const own = steps.filter((s) => s.cut.person === person);
    return cameras.flatMap((c) => attemptsOf(person, shownBy(own, c), c, template, bench, o.seed));
  });
  const tooFewGestures = people.filter((p) => new Set(cuts.filter((c) => c.person === p).map((c) => c.action)).size < GESTURES_MIN); // prettier-ignore
  return { steps, attempts, tooFewGestures, leftOut };
}

/** The steps of a camera; gestures that its scene does not fit are those of a plain camera of the same rate. */
function shownBy(steps: readonly GenuineStep[], camera: Camera): GenuineStep[] {
  return steps.filter(
    ({ cut, camera: c }) =>
      c === camera ||
      (!fits(camera.scene, cut.action) && c.scene === 'plain' && c.fps === camera.fps && c.number === camera.number),
  );
}

/** `file@second`, as labels name it. */
export const idOf = (cut: Cut): string => `${cut.file}@${cut.gestureS}${cut.mirrored ? ', mirrored' : ''}`;

/** Drawn from JPEG quality 60–90, 320–1280 pixels, light ±30 %. */
function cameraOf(seed: number, fps: number, number: number, scene: Scene): Camera {
  const random = randomOf('camera', seed, fps, number);
  const look: Look = {
    gain: between(random, 0.7, 1.3),
    offset: 0,
    noise: between(random, 0.5, 1.5),
    quality: Math.round(between(random, 60, 90)),
    side: Math.round(between(random, 320, 1_280)),
    enlarge: true,
    crop: 0,
    seed: scene === 'plain' ? `${fps}/${number}` : `${fps}/${number}/${scene}`,
  };
  return { fps, number, scene, look };
}

async function read(clip: Clip, { fromS, toS, mirrored }: Cut): Promise<Film> {
  const film: FilmFrame[] = [];
  const effects = mirrored ? [{ kind: 'mirror' as const }] : [];
  for await (const { tMs, bytes } of clip.frames(Math.min(SOURCE_FPS_MAX, clip.nativeFps), fromS, toS))
    film.push({ tMs, jpeg: bytes, effects });
  return film;
}

/** At the camera's rate, where the footage has it and a step may hold so many frames. */
function asFilmed(source: Film, fps: number, name: string): Film {
  const last = source.at(-1)?.tMs ?? 0;
  const native = ((source.length - 1) * 1000) / last;
  const rate = Math.min(fps, native, ((CAPTURE_LIMITS.framesMax - 1) * 1000) / last);
  const phase = rate < native ? between(randomOf('phase', name), 0, 1000 / rate) : 0;
  return sampled(source, rate, last - phase, (tMs) => tMs + phase);
}

function attemptsOf(
  person: string,
  steps: readonly GenuineStep[],
  camera: Camera,
  template: Float32Array | null,
  { rules }: Bench,
  seed: number,
): GenuineAttempt[] {
  const gestures = ACTIONS.filter((a) => steps.some((s) => s.cut.action === a));
  if (gestures.length < GESTURES_MIN) return [];
  const orders = gestures.flatMap((a) => gestures.flatMap((b) => gestures.map((c) => [a, b, c])));
  return orders.map((actions): GenuineAttempt => {
    const random = randomOf('order', seed, person, camera.look.seed, ...actions);
    const shown = actions.map((action) => oneOf(random, steps.filter((s) => s.cut.action === action))); // prettier-ignore
    const verdicts = shown.map((s) => s.verdict);
    const judged = judgeAttempt(shown.map((s) => s.findings), template, rules).judgement; // prettier-ignore
    const failed = verdicts.find((v) => v !== 'done');
    const reason = !template ? 'not_enrolled' : judged === 'ok' ? 'verified' : (failed ?? judged);
    return { person, fps: camera.fps, camera: camera.number, scene: camera.scene, actions, verdicts, reason };
  });
}
