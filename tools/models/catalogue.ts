import { type Alignment, type ModelManifest, type ModelRole } from '#contracts';
import { convertDlibResnet } from './convert/dlib-resnet.js';
import { convertFaceExpression } from './convert/face-expression.js';
import { convertTfjsGraph } from './convert/tfjs-graph.js';
import { decodeModel, type Model } from './graph.js';
import { fileOf } from './npm-package.js';
import { appendSoftmax } from './passes/append-softmax.js';
import { decomposePrelu } from './passes/decompose-prelu.js';
import { fillChannelBlocks } from './passes/fill-channel-blocks.js';
import { flushDenormals } from './passes/flush-denormals.js';
import { foldNormalisation } from './passes/fold-normalisation.js';
import { nameTensors } from './passes/name-tensors.js';
import { type Pass } from './passes/pass.js';
import { pruneDeadChannels } from './passes/prune-dead-channels.js';
import { removeTransposes } from './passes/remove-transposes.js';
import { widenByConvolution } from './passes/widen-by-convolution.js';
import { type PinnedPackage, SOURCES } from './sources.js';

type Files = ReadonlyMap<string, Buffer>;

export interface CatalogueEntry {
  readonly role: ModelRole | 'recogniser';
  readonly file: string;
  readonly source: PinnedPackage;
  /** Path inside the package; a graph's weights lie beside it. */
  readonly path: string;
  readonly licence: { readonly spdx: string; readonly statement: string };
  /** The network is fed `(pixel − mean) × scale`, pixels 0..255, one mean a channel in the order of `colour`. */
  readonly input: {
    readonly name: string;
    readonly shape: readonly number[];
    readonly layout: 'NCHW';
    readonly colour: 'RGB' | 'BGR' | 'GREY';
    readonly normalisation: string;
    readonly mean: readonly number[];
    readonly scale: number;
  };
  readonly outputs: readonly { readonly name: string; readonly shape: readonly number[]; readonly meaning: string }[];
  /** Name of the conversion in the manifest, before the passes. */
  readonly conversion: string;
  convert(files: Files): Model;
  readonly passes: readonly Pass[];
}

export interface RecogniserEntry extends CatalogueEntry {
  readonly role: 'recogniser';
  readonly alignment: Alignment;
  readonly weight: number;
}

/** What makes one folder of models: the models, and the thresholds that were measured with them. */
export interface ModelSet {
  readonly models: readonly CatalogueEntry[];
  readonly recognisers: readonly RecogniserEntry[];
  readonly thresholds: Omit<ModelManifest['thresholds'], 'models'> & { readonly source: string };
}

const MEDIAPIPE_LICENCE = {
  spdx: 'Apache-2.0',
  statement: 'Weights by Google (MediaPipe), Apache-2.0; redistributed in TensorFlow.js form by an MIT package.',
};
const FACEPLUGIN_LICENCE = {
  spdx: 'MIT',
  statement: 'Published under the MIT licence of the package that ships the file; the package names no other author.',
};

const HALF_SCALE = 1 / 127.5;
const PIXEL_SCALE = 1 / 255;

/** Every model but the recognisers: where it comes from, what it eats, what it answers, and how it is rewritten. */
const MODELS: readonly CatalogueEntry[] = [
  {
    role: 'detector',
    file: 'blazeface-back-256.onnx',
    source: SOURCES.human,
    path: 'models/blazeface.json',
    licence: MEDIAPIPE_LICENCE,
    input: {
      name: 'input',
      shape: [1, 3, 256, 256],
      layout: 'NCHW',
      colour: 'RGB',
      normalisation: 'RGB / 127.5 − 1; the whole picture scaled to fit 256 × 256 and centred, borders −1',
      mean: [127.5, 127.5, 127.5],
      scale: HALF_SCALE,
    },
    outputs: [
      { name: 'scores16', shape: [1, 512, 1], meaning: 'face logit for 16 × 16 cells × 2 anchors; sigmoid' },
      { name: 'scores8', shape: [1, 384, 1], meaning: 'face logit for 8 × 8 cells × 6 anchors; sigmoid' },
      {
        name: 'boxes16',
        shape: [1, 512, 16],
        meaning:
          'in input pixels, centre and points relative to the cell centre: centre x, centre y, width, height, then x, y of right eye, left eye, nose tip, mouth, right ear, left ear (the person’s own sides)',
      },
      { name: 'boxes8', shape: [1, 384, 16], meaning: 'as boxes16, for the 8 × 8 cells' },
    ],
    conversion: 'tfjs-to-onnx',
    convert: (files) =>
      convertTfjsGraph(fileOf(files, 'models/blazeface.json'), (path) => fileOf(files, `models/${path}`), 'input', [
        { from: 'Identity', name: 'scores16', shape: [1, 512, 1] },
        { from: 'Identity_1', name: 'scores8', shape: [1, 384, 1] },
        { from: 'Identity_2', name: 'boxes16', shape: [1, 512, 16] },
        { from: 'Identity_3', name: 'boxes8', shape: [1, 384, 16] },
      ]),
    passes: [removeTransposes, flushDenormals, widenByConvolution, fillChannelBlocks],
  },
  {
    role: 'mesh',
    file: 'facemesh-192.onnx',
    source: SOURCES.human,
    path: 'models/facemesh.json',
    licence: MEDIAPIPE_LICENCE,
    input: {
      name: 'input',
      shape: [1, 3, 192, 192],
      layout: 'NCHW',
      colour: 'RGB',
      normalisation: 'RGB 0..255 as it is; square crop of 1.5 × the face box, rolled so that the eyes are level',
      mean: [0, 0, 0],
      scale: 1,
    },
    outputs: [
      {
        name: 'landmarks',
        shape: [1, 1404],
        meaning: '468 points (MediaPipe face mesh order) × x, y, z in crop pixels; z grows away from the camera',
      },
      { name: 'presence', shape: [1, 1], meaning: 'probability 0..1 that the crop holds a face; no sigmoid to apply' },
    ],
    conversion: 'tfjs-to-onnx',
    convert: (files) =>
      convertTfjsGraph(fileOf(files, 'models/facemesh.json'), (path) => fileOf(files, `models/${path}`), 'input', [
        { from: 'Identity_2', name: 'landmarks', shape: [1, 1404] },
        { from: 'Identity_1', name: 'presence', shape: [1, 1] },
      ]),
    passes: [
      removeTransposes,
      flushDenormals,
      widenByConvolution,
      decomposePrelu,
      foldNormalisation({ mean: [0, 0, 0], scale: PIXEL_SCALE }),
    ],
  },
  {
    role: 'antispoof',
    file: 'minifasnet-128.onnx',
    source: SOURCES.faceplugin,
    path: 'model/fr_liveness.onnx',
    licence: {
      spdx: 'MIT',
      statement:
        'Published under the MIT licence of the package that ships the file; the architecture descends from Silent-Face-Anti-Spoofing (Apache-2.0).',
    },
    input: {
      name: 'input',
      shape: [1, 3, 128, 128],
      layout: 'NCHW',
      colour: 'BGR',
      normalisation:
        'BGR 0..255 as it is; crop of the face box × 2.7 or × 4.0, shrunk and shifted to stay inside the picture',
      mean: [0, 0, 0],
      scale: 1,
    },
    outputs: [{ name: 'probabilities', shape: [1, 3], meaning: 'index 0 = live, 1 and 2 = presentation attack' }],
    conversion: 'as-shipped',
    convert: (files) => decodeModel(fileOf(files, 'model/fr_liveness.onnx')),
    passes: [
      nameTensors({ name: 'input', shape: [1, 3, 128, 128] }, { name: 'probabilities', shape: [1, 3] }),
      appendSoftmax,
      flushDenormals,
      fillChannelBlocks,
      decomposePrelu,
    ],
  },
  {
    role: 'expression',
    file: 'face-expression-112.onnx',
    source: SOURCES.faceApi,
    path: 'model/face_expression_model-weights_manifest.json',
    licence: { spdx: 'MIT', statement: 'Weights by the authors of face-api.js, MIT, as shipped in the package.' },
    input: {
      name: 'input',
      shape: [1, 3, 112, 112],
      layout: 'NCHW',
      colour: 'RGB',
      normalisation:
        '(RGB − mean) / 255; box of brows and jaw × 1.2, aspect kept, the border black (so −mean / 255 after normalisation)',
      mean: [122.782, 117.001, 104.298],
      scale: PIXEL_SCALE,
    },
    outputs: [
      {
        name: 'probabilities',
        shape: [1, 7],
        meaning: 'neutral, happy, sad, angry, fearful, disgusted, surprised; sums to 1',
      },
    ],
    conversion: 'weights-to-onnx',
    convert: (files) =>
      convertFaceExpression(fileOf(files, 'model/face_expression_model-weights_manifest.json'), (path) =>
        fileOf(files, `model/${path}`),
      ),
    passes: [removeTransposes, flushDenormals],
  },
  {
    role: 'eye',
    file: 'eye-state-24.onnx',
    source: SOURCES.faceplugin,
    path: 'model/fr_eye.onnx',
    licence: FACEPLUGIN_LICENCE,
    input: {
      name: 'input',
      shape: [1, 1, 24, 24],
      layout: 'NCHW',
      colour: 'GREY',
      normalisation: 'grey 0..255 as it is; level square of 1.6 × the eye’s width around its centre, one eye a run',
      mean: [0],
      scale: 1,
    },
    outputs: [
      {
        name: 'probabilities',
        shape: [1, 2],
        meaning: 'index 0 = closed, 1 = open; judge against the person’s own rest, glare and dim light read as closed',
      },
    ],
    conversion: 'as-shipped',
    convert: (files) => decodeModel(fileOf(files, 'model/fr_eye.onnx')),
    passes: [
      nameTensors({ name: 'input', shape: [1, 1, 24, 24] }, { name: 'probabilities', shape: [1, 2] }),
      appendSoftmax,
      flushDenormals,
      foldNormalisation({ mean: [0], scale: PIXEL_SCALE }),
    ],
  },
];

const MOBILEFACENET: RecogniserEntry = {
  role: 'recogniser',
  alignment: 'arcface',
  weight: 1,
  file: 'mobilefacenet-112.onnx',
  source: SOURCES.faceplugin,
  path: 'model/fr_feature.onnx',
  licence: FACEPLUGIN_LICENCE,
  input: {
    name: 'input',
    shape: [1, 3, 112, 112],
    layout: 'NCHW',
    colour: 'RGB',
    normalisation: '(RGB − 127) / 128; aligned to the ArcFace five-point template of 112 × 112',
    mean: [127, 127, 127],
    scale: 1 / 128,
  },
  outputs: [{ name: 'embedding', shape: [1, 512], meaning: 'face embedding, not normalised; compare by cosine' }],
  conversion: 'as-shipped',
  convert: (files) => decodeModel(fileOf(files, 'model/fr_feature.onnx')),
  passes: [
    nameTensors({ name: 'input', shape: [1, 3, 112, 112] }, { name: 'embedding', shape: [1, 512] }),
    flushDenormals,
    pruneDeadChannels,
    decomposePrelu,
  ],
};

/** dlib's recogniser: weak alone, and it errs on other faces than MobileFaceNet. */
const DLIB_RESNET: RecogniserEntry = {
  role: 'recogniser',
  alignment: 'dlib',
  weight: 3,
  file: 'dlib-resnet-150.onnx',
  source: SOURCES.faceApi,
  path: 'model/face_recognition_model-weights_manifest.json',
  licence: { spdx: 'CC0-1.0', statement: 'Weights by Davis King (dlib), CC0; as shipped in an MIT package.' },
  input: {
    name: 'input',
    shape: [1, 3, 150, 150],
    layout: 'NCHW',
    colour: 'RGB',
    normalisation: 'RGB 0..255 as it is; aligned as dlib cuts its chips of five points, padding 0.25',
    mean: [0, 0, 0],
    scale: 1,
  },
  outputs: [{ name: 'embedding', shape: [1, 128], meaning: 'face embedding, not normalised; compare by cosine' }],
  conversion: 'weights-to-onnx',
  convert: (files) =>
    convertDlibResnet(fileOf(files, 'model/face_recognition_model-weights_manifest.json'), (path) =>
      fileOf(files, `model/${path}`),
    ),
  passes: [
    flushDenormals,
    widenByConvolution,
    foldNormalisation({ mean: [122.782, 117.001, 104.298], scale: PIXEL_SCALE }),
  ],
};

const PROTOCOL =
  'template of up to 3 frames against probe of up to 3 frames, each the normalised mean of unit embeddings';

/** What is shipped. A threshold belongs to one set of models and one protocol; its id goes into every decision. */
export const SHIPPED: ModelSet = {
  models: MODELS,
  recognisers: [MOBILEFACENET],
  thresholds: {
    match: {
      id: 'mbf-a/template-3x3/fmr-1e-4-worst-group/lfw-dev',
      metric: 'cosine',
      value: 0.475,
      protocol: PROTOCOL,
    },
    onePerson: { steps: 0.5, frames: 0.4 },
    source:
      'match: lfw-dev; a false match rate of 1e-4 in the worst group that can be measured. Women, told by first name: 4 of 84,666 with one image each (0.0047 %, at most 0.012 % at 95 % confidence), 0 of 148,640 drawn 3 against 3; all people 19 of 1,519,896. 0 of 152 genuine comparisons of 3 against 3 refused (at most 2.4 %). onePerson: the lowest of one person were 0.69 between steps (n = 1,140) and 0.50 between frames (114 steps of 10 people)',
  },
};

/** Two recognisers, the similarity 1 : 3: more accurate with one image a side, twice the time. */
export const WITH_DLIB: ModelSet = {
  models: MODELS,
  recognisers: [MOBILEFACENET, DLIB_RESNET],
  thresholds: {
    match: { id: 'mbf-a+3-dlib/template-3x3/fmr-1e-4/lfw-dev', metric: 'cosine', value: 0.8205, protocol: PROTOCOL },
    onePerson: { steps: 0.8, frames: 0.75 },
    source:
      'match: lfw-dev, false match rate 1e-4 of 63,719 comparisons, which are few; onePerson: estimates, not measured. Calibrate before use',
  },
};
