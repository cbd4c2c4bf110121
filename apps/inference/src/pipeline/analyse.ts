import {
  antispoofInput,
  ANTISPOOF_SIDE,
  type Box,
  EXPRESSION_SIDE,
  expressionInput,
  EYE_SIDE,
  eyeInput,
  facePatch,
  PATCH_SIDE,
  patchPlace,
  recogniserInput,
} from './crops.js';
import { decodeDetections, type Detection, DETECTOR_SIDE, detectorInput, overlap } from './detector.js';
import { findFace, type MeshReading, PRESENCE_MIN, prominence } from './find-face.js';
import {
  cornerLift,
  distance,
  eyeAspect,
  foreshortening,
  type Landmarks,
  levelBox,
  MESH_SIDE,
  meshInput,
  mouthWidth,
  POINT,
  poseOf,
  px,
  py,
  type Region,
  regionOfLandmarks,
  toPicture,
} from './mesh.js';
import type { FaceModels } from './nets.js';
import { type Picture, Pyramid } from './picture.js';
import { bandCorrelation, detail, exposure, luminance, sharpness } from './quality.js';
import type { FaceSignal, FrameSignal, SignalTrack, StepSamples } from './signals.js';
import { candidateTensor, joined } from './recognisers.js';
import { StillPlace } from './still-place.js';
import { cosine, median } from './vector.js';

/** An embedding of a chosen frame and what speaks for choosing it. */
export interface EmbeddingSample {
  tMs: number;
  yaw: number;
  pitch: number;
  sharpness: number;
  /** Higher is better: frontal, sharp, eyes open, mouth at rest. */
  fitness: number;
  /** Unit length. */
  embedding: Float32Array;
}

export interface AntispoofSample {
  tMs: number;
  /** P(live) of the crop 2.7 and 4.0 times the face box. */
  near: number;
  far: number;
}

export interface StepAnalysis {
  track: SignalTrack;
  embeddings: EmbeddingSample[];
  /** Of the frames whose face looks least like the embedded one's: to see another person among the frames, and for nothing else. */
  unlike: EmbeddingSample[];
  antispoof: AntispoofSample[];
}

/** A decoded frame, or null where decoding failed. The analysis reads it until it asks for the next, and keeps nothing. */
export interface DecodedFrame {
  tMs: number;
  picture: Picture | null;
}

/** The detector runs again every so many frames: to see a second face, and whether the tracked one is still the best. */
const DETECT_EVERY = 15;
/**
 * Turned further than this, or less present, a mesh may have lost its face: it then drifts back to a frontal pose of
 * nothing, at a presence of 0.99. It is believed again where a detection lies beside it, and asked every so many frames.
 */
const DOUBT_YAW = 18;
const DOUBT_PRESENCE = 0.9;
const DETECT_EVERY_IN_DOUBT = 4;
/** Largest distance of eyes and nose between mesh and detection ÷ height of the face: at most 0.07 on faces up to 46° of yaw. */
const BESIDE_MAX = 0.09;
/** Score of that detection, and as a share of the step's first: 0.79 and more on those faces, at most 0.72 on what was lost. */
const BESIDE_SCORE = 0.75;
const BESIDE_SCORE_SHARE = 0.85;
/** A step is cut into so many spans of time; each gives its best frame to the recogniser, its first to the anti-spoof. */
const EMBEDDING_SPANS = 6;
const ANTISPOOF_SPANS = 8;
/** Pose of a frame that counts as frontal, degrees. */
export const FRONTAL_YAW = 20;
const FRONTAL_PITCH = 25;
export const ANTISPOOF_FACE_PX_MIN = 80;
/** Median P(live) below which the anti-spoof denies. Above it nothing is claimed. */
export const LIVE_MIN = 0.2;
/** Yaw up to which a face is embedded at all. */
const EMBED_YAW_MAX = 32;
/** Below this likeness of its band to the fittest frame's a face may be another's, if its pose is that near and it is that fit. */
const UNLIKE_BELOW = 0.8;
const UNLIKE_POSE = 12;
const UNLIKE_FITNESS_SHARE = 0.4;
const UNLIKE_MAX = 3;

/**
 * Follows one face through the frames of a step: detected once, then tracked by its landmarks; signals on every frame,
 * anti-spoof and embeddings on samples only. One instance per thread: the tensors are made once and used again.
 */
export class StepAnalyser {
  private readonly detectorTensor = new Float32Array(DETECTOR_SIDE * DETECTOR_SIDE * 3);
  private readonly meshTensor = new Float32Array(MESH_SIDE * MESH_SIDE * 3);
  private readonly expressionTensor = new Float32Array(EXPRESSION_SIDE * EXPRESSION_SIDE * 3);
  private readonly eyeTensor = new Float32Array(EYE_SIDE * EYE_SIDE);
  private readonly candidateTensors: readonly Float32Array[];
  private readonly unlikeTensors: readonly Float32Array[];
  private readonly patches = [new Float32Array(PATCH_SIDE * PATCH_SIDE), new Float32Array(PATCH_SIDE * PATCH_SIDE)];
  /** Of the fittest frame so far. */
  private readonly fittestPatch = new Float32Array(PATCH_SIDE * PATCH_SIDE);
  private readonly stillPlace = new StillPlace();
  private readonly pyramid = new Pyramid();
  /** Tensors of samples that were not moved away, by their length. */
  private readonly spare = new Map<number, Float32Array[]>();

  constructor(private readonly nets: FaceModels) {
    this.candidateTensors = nets.recognisers.map(candidateTensor);
    this.unlikeTensors = nets.recognisers.map(candidateTensor);
  }

  /** @param durationMs time of the last frame, from which the spans of the samples follow. */
  async run(frames: AsyncIterable<DecodedFrame>, durationMs: number): Promise<StepAnalysis> {
    const track: SignalTrack = { width: 0, height: 0, unreadable: 0, frames: [] };
    const samples = new Samples(durationMs);
    const source = this.pyramid;
    const state: TrackState = {
      region: null,
      boxOf: null,
      patch: 0,
      hasPatch: false,
      sinceDetect: 0,
      inDoubt: false,
      firstScore: 0,
    };
    try {
      for await (const { tMs, picture } of frames) {
        if (!picture) {
          track.unreadable++;
          continue;
        }
        source.load(picture);
        track.width = picture.width;
        track.height = picture.height;
        track.frames.push(await this.frame(source, tMs, state, samples));
      }
      this.embedChosen(samples);
      const [embeddings, unlike, antispoof] = [
        await Promise.all(samples.embeddings),
        await Promise.all(samples.unlikeOnes),
        await Promise.all(samples.antispoof),
      ];
      return { track, embeddings, unlike, antispoof };
    } finally {
      await Promise.allSettled([...samples.embeddings, ...samples.unlikeOnes, ...samples.antispoof]);
      source.wipe();
      this.wipe();
    }
  }

  private async frame(source: Pyramid, tMs: number, state: TrackState, samples: Samples): Promise<FrameSignal> {
    const frame: FrameSignal = { tMs, face: null };
    let reading: MeshReading | null = null;
    let detections: Detection[] | null = null;
    if (state.region && state.sinceDetect < (state.inDoubt ? DETECT_EVERY_IN_DOUBT : DETECT_EVERY)) {
      reading = await this.tracked(source, state.region);
      state.sinceDetect++;
      if (reading) state.inDoubt ||= isDoubtful(reading);
      // Back from where it may have been lost: asked before anything is made of it.
      if (reading && state.inDoubt && !isDoubtful(reading)) reading = null;
    }
    if (!reading) {
      const look = await this.detect(source);
      detections = look();
      state.sinceDetect = 1;
      // The tracked face stays the tracked face while it is there.
      if (state.region) reading = await this.tracked(source, state.region);
      const box = reading && boxAround(reading.landmarks);
      const isNew = !box || !detections.some((d) => overlap(d, box) > 0.2);
      if (isNew) {
        state.hasPatch = false;
        const mesh = (region: Region): Promise<MeshReading> => this.mesh(source, region);
        reading = await findFace(look, mesh, (d) => prominence(d, source.base));
      }
      if (reading) state.inDoubt ||= isDoubtful(reading);
      const beside = reading && besideOf(detections, reading.landmarks);
      if (state.firstScore === 0) state.firstScore = beside?.score ?? 0;
      if (state.inDoubt && !isVouched(beside, state)) reading = null;
      else if (reading) state.inDoubt = isDoubtful(reading);
    }
    if (!reading) {
      state.region = null;
      state.hasPatch = false;
      this.stillPlace.forget();
      frame.exposure = exposure(source);
      return frame;
    }
    const { landmarks } = reading;
    if (detections) frame.second = secondFace(detections, landmarks, state);
    state.region = regionOfLandmarks(landmarks);
    const face = await this.signals(source, landmarks, tMs, state);
    frame.face = face;
    // In doubt only a frame with a detection beside it may be embedded.
    if (!state.inDoubt || detections) this.sample(source, tMs, landmarks, face, state, samples);
    return frame;
  }

  private async detect(source: Pyramid): Promise<(scoreMin?: number) => Detection[]> {
    const map = detectorInput(source, this.detectorTensor);
    const output = await this.nets.detect(this.detectorTensor);
    return (scoreMin) => decodeDetections(output, map, scoreMin);
  }

  private async mesh(source: Pyramid, region: Region): Promise<MeshReading> {
    const map = meshInput(source, region, this.meshTensor);
    const { landmarks, presence } = await this.nets.mesh(this.meshTensor);
    return { landmarks: toPicture(landmarks, map), presence };
  }

  private async tracked(source: Pyramid, region: Region): Promise<MeshReading | null> {
    const reading = await this.mesh(source, region);
    return reading.presence >= PRESENCE_MIN ? reading : null;
  }

  private async signals(source: Pyramid, l: Landmarks, tMs: number, state: TrackState): Promise<FaceSignal> {
    const now = this.patches[state.patch]!;
    const before = this.patches[1 - state.patch]!;
    facePatch(source, patchPlace(l), now);
    const light = luminance(now);
    eyeInput(source, l, 'right', light, this.eyeTensor);
    const closedRight = await this.nets.eyeClosed(this.eyeTensor);
    eyeInput(source, l, 'left', light, this.eyeTensor);
    const closedLeft = await this.nets.eyeClosed(this.eyeTensor);
    expressionInput(source, l, this.expressionTensor);
    const happy = await this.nets.happy(this.expressionTensor);
    const band = state.hasPatch ? bandCorrelation(now, before) : null;
    state.patch = 1 - state.patch;
    state.hasPatch = true;
    const { yaw, pitch, roll } = poseOf(l);
    const { lidRight, lidLeft, mouthDetail, eyeShade } = detail(now);
    // Field by field: V8 gives what is spread into so large an object a hash table of nine kilobytes.
    return {
      yaw,
      pitch,
      roll,
      x: (px(l, POINT.rightEyeOuter) + px(l, POINT.leftEyeOuter)) / 2,
      y: (py(l, POINT.rightEyeOuter) + py(l, POINT.leftEyeOuter)) / 2,
      eyeSpan: distance(l, POINT.rightEyeOuter, POINT.leftEyeOuter),
      faceWidth: faceBox(l, state).width,
      inside: insideShare(l, source.base),
      closedRight,
      closedLeft,
      aspectRight: eyeAspect(l, 'right'),
      aspectLeft: eyeAspect(l, 'left'),
      happy,
      mouthWidth: mouthWidth(l),
      cornerLift: cornerLift(l),
      foreshortening: foreshortening(l),
      band,
      lidRight,
      lidLeft,
      mouthDetail,
      eyeShade,
      sharpness: sharpness(now),
      luminance: light,
      unchangedMs: this.stillPlace.look(source, l, tMs),
    };
  }

  /** Samples are not waited for: a net that has another thread to run on runs beside the next frames. */
  private sample(
    source: Pyramid,
    tMs: number,
    l: Landmarks,
    face: FaceSignal,
    state: TrackState,
    samples: Samples,
  ): void {
    if (samples.entersEmbeddingSpan(tMs)) this.embedChosen(samples);
    const fitness = fitnessOf(face);
    const chosen: Chosen = { tMs, yaw: face.yaw, pitch: face.pitch, sharpness: face.sharpness, fitness };
    const crop = (tensors: readonly Float32Array[]): void => {
      for (const [i, recogniser] of this.nets.recognisers.entries())
        recogniserInput(source, l, recogniser, tensors[i]!);
    };
    if (fitness > samples.bestFitness) {
      crop(this.candidateTensors);
      samples.bestFitness = fitness;
      samples.best = chosen;
    }
    const patch = this.patches[1 - state.patch]!;
    const likeness = samples.likenessOf(chosen, () => bandCorrelation(patch, this.fittestPatch));
    if (likeness < samples.leastLikeness) {
      crop(this.unlikeTensors);
      samples.leastLikeness = likeness;
      samples.unlike = chosen;
    }
    if (fitness > (samples.fittest?.fitness ?? 0)) {
      this.fittestPatch.set(patch);
      samples.fittest = chosen;
    }
    const frontal = Math.abs(face.yaw) <= FRONTAL_YAW && Math.abs(face.pitch) <= FRONTAL_PITCH;
    const box = faceBox(l, state);
    if (frontal && face.faceWidth >= ANTISPOOF_FACE_PX_MIN && samples.wantsAntispoof(tMs)) {
      const both = Promise.all([this.live(source, box, 2.7), this.live(source, box, 4.0)]);
      samples.add(
        samples.antispoof,
        both.then(([near, far]) => ({ tMs, near, far })),
      );
    }
  }

  private live(source: Pyramid, box: Box, scale: number): Promise<number> {
    return this.given(ANTISPOOF_SIDE * ANTISPOOF_SIDE * 3, (tensor) => {
      antispoofInput(source, box, scale, tensor);
      return this.nets.live(tensor);
    });
  }

  /** A tensor for a net that may move it away; used again if it does not, or each step would leave megabytes behind. */
  private async given<T>(length: number, run: (tensor: Float32Array) => Promise<T>): Promise<T> {
    const spare = this.spare.get(length) ?? [];
    this.spare.set(length, spare);
    const tensor = spare.pop() ?? new Float32Array(length);
    try {
      return await run(tensor);
    } finally {
      if (tensor.length > 0) spare.push(tensor.fill(0));
    }
  }

  /** Embeds the best frame of the span that just ended, and the one that may be another person's. */
  private embedChosen(samples: Samples): void {
    const { best, unlike } = samples;
    samples.best = null;
    samples.bestFitness = 0;
    samples.unlike = null;
    samples.leastLikeness = UNLIKE_BELOW;
    if (best) samples.add(samples.embeddings, this.embed(best, this.candidateTensors));
    if (unlike && unlike.tMs !== best?.tMs && samples.unlikeOnes.length < UNLIKE_MAX)
      samples.add(samples.unlikeOnes, this.embed(unlike, this.unlikeTensors));
  }

  private async embed(chosen: Chosen, tensors: readonly Float32Array[]): Promise<EmbeddingSample> {
    const embedded = (tensor: Float32Array, i: number): Promise<Float32Array> =>
      this.given(tensor.length, (own) => {
        own.set(tensor);
        return this.nets.embed(own, i);
      });
    const embeddings = await Promise.all(tensors.map(embedded));
    return { ...chosen, embedding: joined(this.nets.recognisers, embeddings) };
  }

  private wipe(): void {
    for (const t of [
      this.detectorTensor,
      this.meshTensor,
      this.expressionTensor,
      this.eyeTensor,
      ...this.candidateTensors,
      ...this.unlikeTensors,
      ...this.patches,
      this.fittestPatch,
    ])
      t.fill(0);
    this.stillPlace.wipe();
  }
}

/** What is carried from frame to frame. */
interface TrackState {
  region: Region | null;
  /** The detector's box relative to the mesh's, so that the anti-spoof sees the box it was measured with. */
  boxOf: { dx: number; dy: number; width: number; height: number } | null;
  patch: number;
  hasPatch: boolean;
  sinceDetect: number;
  /** The mesh may have lost its face, and no detection has said otherwise since. */
  inDoubt: boolean;
  /** Of the detection beside the face when it was found; 0 without one. */
  firstScore: number;
}

type Chosen = Omit<EmbeddingSample, 'embedding'>;

class Samples {
  readonly embeddings: Promise<EmbeddingSample>[] = [];
  readonly unlikeOnes: Promise<EmbeddingSample>[] = [];
  readonly antispoof: Promise<AntispoofSample>[] = [];
  /** Of the span so far. */
  best: Chosen | null = null;
  bestFitness = 0;
  unlike: Chosen | null = null;
  leastLikeness: number = UNLIKE_BELOW;
  /** Of the step so far. */
  fittest: Chosen | null = null;
  private embeddingSpan = 0;
  private antispoofSpan = -1;

  constructor(private readonly durationMs: number) {}

  /** A failure is reported at the end of the step, when all are waited for. */
  add<T>(to: Promise<T>[], sample: Promise<T>): void {
    sample.catch(() => undefined);
    to.push(sample);
  }

  /** Likeness to the fittest frame, 1 where the two cannot be compared. */
  likenessOf({ yaw, pitch, fitness }: Chosen, measure: () => number): number {
    const to = this.fittest;
    if (!to || fitness < UNLIKE_FITNESS_SHARE * to.fitness) return 1;
    return Math.abs(yaw - to.yaw) > UNLIKE_POSE || Math.abs(pitch - to.pitch) > UNLIKE_POSE ? 1 : measure();
  }

  entersEmbeddingSpan(tMs: number): boolean {
    const span = this.span(tMs, EMBEDDING_SPANS);
    if (span === this.embeddingSpan) return false;
    this.embeddingSpan = span;
    return true;
  }

  wantsAntispoof(tMs: number): boolean {
    const span = this.span(tMs, ANTISPOOF_SPANS);
    if (span === this.antispoofSpan) return false;
    this.antispoofSpan = span;
    return true;
  }

  private span(tMs: number, count: number): number {
    return Math.min(count - 1, Math.floor((tMs / (this.durationMs || 1)) * count));
  }
}

/** A frame is compared for suspicion only if it is nearly as fit as the step's best, and the chin neither up nor down. */
const FIT_SHARE_MIN = 0.6;
const FIT_PITCH_MAX = 15;

/** The embeddings that may speak against a person: all but the smeared, the nodded and the far turned. */
export function fitOnes<T extends Pick<EmbeddingSample, 'fitness' | 'pitch'>>(samples: readonly T[]): T[] {
  const best = Math.max(0, ...samples.map((e) => e.fitness));
  return samples.filter((e) => e.fitness >= FIT_SHARE_MIN * best && Math.abs(e.pitch) < FIT_PITCH_MAX);
}

export function samplesOf(analysis: StepAnalysis): StepSamples {
  const all = [...analysis.embeddings, ...analysis.unlike];
  return {
    lowestCosine: lowestOf(fitOnes(all)),
    doubtfulCosine: lowestOf(all),
    live: medianLive(analysis.antispoof),
    embeddings: all.length,
  };
}

/** Median P(live) of the lower of both crops; null without a sample. */
export function medianLive(samples: readonly AntispoofSample[]): number | null {
  return samples.length > 0 ? median(samples.map((a) => Math.min(a.near, a.far))) : null;
}

function lowestOf(e: readonly EmbeddingSample[]): number | null {
  let lowest: number | null = null;
  for (let i = 0; i < e.length; i++)
    for (let j = 0; j < i; j++) lowest = Math.min(lowest ?? 1, cosine(e[i]!.embedding, e[j]!.embedding));
  return lowest;
}

/** 0: not to be embedded. Frontal beats sharp, open eyes and a resting mouth break ties. */
function fitnessOf(f: FaceSignal): number {
  const turn = Math.hypot(f.yaw, f.pitch * 0.7);
  if (Math.abs(f.yaw) > EMBED_YAW_MAX || f.inside < 0.97) return 0;
  const open = 1 - Math.min(1, Math.max(f.closedLeft, f.closedRight)) * 0.3;
  return (1 / (1 + (turn / 15) ** 2)) * (0.5 + Math.min(1, f.sharpness)) * open * (1 - 0.15 * f.happy);
}

function boxAround(l: Landmarks): Box {
  const b = levelBox(l, 0);
  return { x: b.cx - b.width / 2, y: b.cy - b.height / 2, width: b.width, height: b.height };
}

const faceBox = (l: Landmarks, { boxOf }: TrackState): Box => (boxOf ? fromMeshBox(l, boxOf) : boxAround(l));

function fromMeshBox(l: Landmarks, of: NonNullable<TrackState['boxOf']>): Box {
  const b = levelBox(l, 0);
  const width = b.width * of.width;
  const height = b.height * of.height;
  return { x: b.cx + of.dx * b.width - width / 2, y: b.cy + of.dy * b.height - height / 2, width, height };
}

const isDoubtful = ({ landmarks, presence }: MeshReading): boolean =>
  presence < DOUBT_PRESENCE || Math.abs(poseOf(landmarks).yaw) > DOUBT_YAW;

/** The detection whose eyes and nose are nearest to the mesh's, and how far off the farthest of the three is, in face heights. */
function besideOf(detections: readonly Detection[], l: Landmarks): { score: number; off: number } | null {
  const points: [number, number][] = [
    [(px(l, POINT.rightEyeOuter) + px(l, POINT.rightEyeInner)) / 2, (py(l, POINT.rightEyeOuter) + py(l, POINT.rightEyeInner)) / 2],
    [(px(l, POINT.leftEyeOuter) + px(l, POINT.leftEyeInner)) / 2, (py(l, POINT.leftEyeOuter) + py(l, POINT.leftEyeInner)) / 2],
    [px(l, POINT.noseTip), py(l, POINT.noseTip)],
  ]; // prettier-ignore
  const height = levelBox(l, 0).height || 1;
  let nearest: { score: number; off: number } | null = null;
  for (const { score, points: found } of detections) {
    const off = Math.max(...points.map(([x, y], i) => Math.hypot(found[i]![0] - x, found[i]![1] - y))) / height;
    if (!nearest || off < nearest.off) nearest = { score, off };
  }
  return nearest;
}

/** A face that was weakly detected from the start, in dim light, need not be detected better than then. */
const isVouched = (beside: ReturnType<typeof besideOf>, { firstScore }: TrackState): boolean =>
  beside !== null &&
  beside.off <= BESIDE_MAX &&
  beside.score >= Math.min(BESIDE_SCORE, firstScore > 0 ? BESIDE_SCORE_SHARE * firstScore : BESIDE_SCORE);

/** Area of the largest other face ÷ area of the tracked one; also notes how the detector's box lies to the mesh's. */
function secondFace(detections: Detection[], l: Landmarks, state: TrackState): number {
  const mesh = levelBox(l, 0);
  const box = boxAround(l);
  let own: Detection | null = null;
  let share = 0.2;
  for (const d of detections) {
    const o = overlap(d, box);
    if (o > share) {
      share = o;
      own = d;
    }
  }
  if (own)
    state.boxOf = {
      dx: (own.x + own.width / 2 - mesh.cx) / mesh.width,
      dy: (own.y + own.height / 2 - mesh.cy) / mesh.height,
      width: own.width / mesh.width,
      height: own.height / mesh.height,
    };
  const area = own ? own.width * own.height : box.width * box.height;
  let second = 0;
  for (const d of detections) if (d !== own) second = Math.max(second, (d.width * d.height) / area);
  return second;
}

function insideShare(l: Landmarks, p: Picture): number {
  let n = 0;
  for (let i = 0; i < 468; i++) {
    const x = px(l, i);
    const y = py(l, i);
    if (x >= 0 && y >= 0 && x <= p.width - 1 && y <= p.height - 1) n++;
  }
  return n / 468;
}
