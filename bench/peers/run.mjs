// One package of bench/peers as a Node user would run it: decode, detect, landmarks, embedding on every frame.
// `node run.mjs NAME FRAMES.json`: prints {"ready":true,…}, then for each line on stdin one pass over all frames as
// {"ms":[…],"decodeMs":[…],"faces":N}. A fault is {"error":"…"} and exit code 1.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { fileURLToPath, URL } from 'node:url';
import sharp from 'sharp';

const require = createRequire(import.meta.url);
const HERE = path.dirname(fileURLToPath(import.meta.url));
const packageFolder = (name) => path.join(HERE, 'node_modules', name);
const versionOf = (name) => JSON.parse(readFileSync(path.join(packageFolder(name), 'package.json'), 'utf8')).version;

sharp.concurrency(1);
sharp.cache(false);
const WASM = path.join(packageFolder('@tensorflow/tfjs-backend-wasm'), 'dist/');
const WARM_FRAMES = 3;

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const decode = async (jpeg, channels = 3) => {
  const image = channels === 4 ? sharp(jpeg).ensureAlpha() : sharp(jpeg).removeAlpha();
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height };
};

/** Models from the package's own folder: the packages fetch them, and Node's fetch has no files. */
function serveFiles(folder) {
  const original = globalThis.fetch;
  globalThis.fetch = (url, options) => {
    const text = String(url?.url ?? url);
    if (!text.startsWith('http://models.invalid/')) return original(url, options);
    const file = path.join(folder, new URL(text).pathname);
    return Promise.resolve(
      new globalThis.Response(readFileSync(file), {
        headers: { 'content-type': file.endsWith('.json') ? 'application/json' : 'application/octet-stream' },
      }),
    );
  };
}

async function human() {
  serveFiles(path.join(packageFolder('@vladmandic/human'), 'models'));
  const wasm = require('@tensorflow/tfjs-backend-wasm');
  wasm.setThreadsCount(1);
  const { Human } = require(path.join(packageFolder('@vladmandic/human'), 'dist/human.node-wasm.js'));
  const off = { enabled: false };
  const instance = new Human({
    backend: 'wasm',
    wasmPath: WASM,
    modelBasePath: 'http://models.invalid/',
    debug: false,
    async: false,
    cacheSensitivity: 0,
    filter: off,
    gesture: off,
    body: off,
    hand: off,
    object: off,
    segmentation: off,
    face: {
      enabled: true,
      detector: { maxDetected: 1, skipFrames: 0, skipTime: 0, rotation: false },
      mesh: { enabled: true },
      iris: off,
      emotion: off,
      attention: off,
      antispoof: off,
      liveness: off,
      description: { enabled: true, skipFrames: 0, skipTime: 0 },
    },
  });
  await instance.load();
  await instance.tf.ready();
  return {
    version: versionOf('@vladmandic/human'),
    backend: instance.tf.getBackend() === 'wasm' ? 'wasm simd' : instance.tf.getBackend(),
    note: 'blazeface, facemesh, faceres',
    async face({ data, width, height }) {
      const tensor = instance.tf.tensor(Float32Array.from(data), [1, height, width, 3], 'float32');
      const { face } = await instance.detect(tensor);
      instance.tf.dispose(tensor);
      return (face[0]?.embedding?.length ?? 0) > 0 && (face[0]?.mesh?.length ?? 0) > 0;
    },
  };
}

const faceApi = (tiny) => async () => {
  const wasm = require('@tensorflow/tfjs-backend-wasm');
  wasm.setThreadsCount(1);
  wasm.setWasmPaths(WASM);
  const api = require('@vladmandic/face-api/dist/face-api.node-wasm.js');
  await api.tf.setBackend('wasm');
  await api.tf.ready();
  const models = path.join(packageFolder('@vladmandic/face-api'), 'model');
  const detector = tiny ? api.nets.tinyFaceDetector : api.nets.ssdMobilenetv1;
  for (const net of [detector, api.nets.faceLandmark68Net, api.nets.faceRecognitionNet]) await net.loadFromDisk(models);
  const options = tiny ? new api.TinyFaceDetectorOptions() : new api.SsdMobilenetv1Options({ maxResults: 1 });
  return {
    version: versionOf('@vladmandic/face-api'),
    backend: api.tf.getBackend() === 'wasm' ? 'wasm simd' : api.tf.getBackend(),
    note: `${tiny ? 'tiny face detector' : 'SSD MobileNet v1'}, 68 landmarks, dlib ResNet`,
    async face({ data, width, height }) {
      const tensor = api.tf.tensor3d(Int32Array.from(data), [height, width, 3], 'int32');
      const found = await api.detectSingleFace(tensor, options).withFaceLandmarks().withFaceDescriptor();
      api.tf.dispose(tensor);
      return found !== undefined;
    },
  };
};

const FACEPLUGIN = 'faceplugin-face-recognition-js';

/**
 * Browser code that takes its pictures from a canvas. Its own files, its own OpenCV and the backend that it names,
 * WebAssembly of onnxruntime-web; only its imports are given to it here, and the canvas's pixels (cv.imread).
 */
async function faceplugin() {
  const folder = packageFolder(FACEPLUGIN);
  const its = createRequire(path.join(folder, 'index.js'));
  const ort = its('onnxruntime-web');
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  const text = (file) => readFileSync(path.join(folder, file), 'utf8');
  const opencv = { exports: {} };
  await new Promise((resolve) => {
    globalThis.Module = {
      wasmBinary: readFileSync(path.join(folder, 'js/opencv_js.wasm')),
      onRuntimeInitialized: resolve,
      print: () => undefined,
      printErr: () => undefined,
    };
    const load = new Function('module', 'exports', 'require', '__dirname', text('js/opencv.js'));
    load.call(globalThis, opencv, opencv.exports, its, path.join(folder, 'js'));
  });
  // Not to be returned or awaited: it has a `then` that gives itself.
  const cv = opencv.exports;
  const functionOf = (file, name) => {
    const body = text(`lib/${file}.js`).replace(/^import .*$/gm, '').replace(/export \{[^}]*\}/g, ''); // prettier-ignore
    const make = new Function('InferenceSession', 'Tensor', 'ndarray', 'ops', 'cv', `${body}\nreturn ${name};`);
    return make(ort.InferenceSession, ort.Tensor, its('ndarray'), its('ndarray-ops'), cv);
  };
  const detectFaceImage = functionOf('fr_detect', 'detectFaceImage');
  const predictLandmarkImage = functionOf('fr_landmark', 'predictLandmarkImage');
  const extractFeatureImage = functionOf('fr_feature', 'extractFeatureImage');
  const open = (name) =>
    ort.InferenceSession.create(new Uint8Array(readFileSync(path.join(folder, `model/${name}.onnx`))), {
      executionProviders: ['wasm'],
    });
  const [detector, landmark, feature] = [await open('fr_detect'), await open('fr_landmark'), await open('fr_feature')];
  return {
    version: versionOf(FACEPLUGIN),
    backend: 'onnxruntime-web, wasm simd',
    note: 'browser code: its own files and OpenCV in Node, on the backend it names; one thread',
    channels: 4,
    async face(p) {
      // As its functions that take a canvas do: read anew for each step.
      const image = () => cv.matFromImageData(p);
      const { bbox, size } = await detectFaceImage(detector, image());
      if (size === 0) return false;
      const landmarks = await predictLandmarkImage(landmark, image(), bbox);
      const [answer] = await extractFeatureImage(feature, image(), landmarks);
      return answer[feature.outputNames[0]].data.length === 512;
    },
  };
}

/** Not the package as anybody gets it: its graphs on native onnxruntime, its pre-processing ported line by line. */
async function facepluginMoved() {
  process.env.ORT_DISABLE_TELEMETRY = '1'; // it reports to its maker unless told before it is loaded
  const ort = require('onnxruntime-node');
  const folder = path.join(packageFolder(FACEPLUGIN), 'model');
  const open = (name) =>
    ort.InferenceSession.create(path.join(folder, name), {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
    });
  const [detector, landmark, feature] = await Promise.all(
    ['fr_detect.onnx', 'fr_landmark.onnx', 'fr_feature.onnx'].map(open),
  );
  const run = async (session, values, shape) =>
    session.run({ [session.inputNames[0]]: new ort.Tensor('float32', values, shape) });
  const bilinear = (p, x, y, c) => {
    const x0 = Math.min(Math.max(Math.floor(x), 0), p.width - 1);
    const y0 = Math.min(Math.max(Math.floor(y), 0), p.height - 1);
    const x1 = Math.min(x0 + 1, p.width - 1);
    const y1 = Math.min(y0 + 1, p.height - 1);
    const fx = Math.min(Math.max(x - x0, 0), 1);
    const fy = Math.min(Math.max(y - y0, 0), 1);
    const at = (xx, yy) => p.data[(yy * p.width + xx) * 3 + c];
    return (at(x0, y0) * (1 - fx) + at(x1, y0) * fx) * (1 - fy) + (at(x0, y1) * (1 - fx) + at(x1, y1) * fx) * fy;
  };
  /** Into planes of `width` × `height`; `map` gives the place in the picture. */
  const cut = (p, width, height, channels, map, value) => {
    const out = new Float32Array(channels * width * height);
    for (let y = 0, o = 0; y < height; y++)
      for (let x = 0; x < width; x++, o++) {
        const [sx, sy] = map(x, y);
        for (let c = 0; c < channels; c++) out[c * width * height + o] = value(p, sx, sy, c);
      }
    return out;
  };
  const normalised = (p, x, y, c) => (bilinear(p, x, y, c) - 127) / 128;
  const grey = (p, x, y) =>
    (0.299 * bilinear(p, x, y, 0) + 0.587 * bilinear(p, x, y, 1) + 0.114 * bilinear(p, x, y, 2)) / 256;

  const detect = async (p) => {
    const [kx, ky] = [p.width / 320, p.height / 240];
    const input = cut(p, 320, 240, 3, (x, y) => [(x + 0.5) * kx - 0.5, (y + 0.5) * ky - 0.5], normalised);
    const { boxes, scores } = await run(detector, input, [1, 3, 240, 320]);
    const found = [];
    for (let i = 0; i < scores.data.length / 2; i++) {
      if (scores.data[2 * i + 1] < 0.65) continue;
      const [x1, y1, x2, y2] = boxes.data.subarray(4 * i, 4 * i + 4);
      found.push({
        score: scores.data[2 * i + 1],
        x: x1 * p.width,
        y: y1 * p.height,
        width: (x2 - x1) * p.width,
        height: (y2 - y1) * p.height,
      });
    }
    return found.sort((a, b) => b.score - a.score)[0] ?? null;
  };
  const landmarksOf = async (p, box) => {
    const width = Math.min(box.width, p.width - 1);
    const height = Math.min(box.height, p.height - 1);
    const x = Math.min(Math.max(box.x, 0), p.width - 1 - width);
    const y = Math.min(Math.max(box.y, 0), p.height - 1 - height);
    const input = cut(
      p,
      64,
      64,
      1,
      (i, j) => [x + ((i + 0.5) * width) / 64 - 0.5, y + ((j + 0.5) * height) / 64 - 0.5],
      grey,
    );
    const { data } = (await run(landmark, input, [1, 1, 64, 64]))[landmark.outputNames[0]];
    return Array.from(data, (v, i) => (i % 2 === 0 ? v * box.width + box.x : v * box.height + box.y));
  };
  const REFERENCE = [
    [38.29459953, 51.69630051],
    [73.53179932, 51.50139999],
    [56.02519989, 71.73660278],
  ];
  /** The map from the aligned face back to the picture by the eyes and the nose, as getAffineTransform inverts it. */
  const affine = (l) => {
    const mean = (axis, ...points) => points.reduce((sum, i) => sum + l[2 * i + axis], 0) / points.length;
    const points = [
      [mean(0, 37, 38, 40, 41), mean(1, 37, 38, 40, 41)],
      [mean(0, 43, 44, 46, 47), mean(1, 43, 44, 46, 47)],
      [l[60], l[61]],
    ];
    const [[ax, ay], [bx, by], [cx, cy]] = REFERENCE;
    const det = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay);
    return (x, y) => {
      const u = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / det;
      const v = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / det;
      return [0, 1].map((k) => points[0][k] + u * (points[1][k] - points[0][k]) + v * (points[2][k] - points[0][k]));
    };
  };
  return {
    version: versionOf(FACEPLUGIN),
    backend: 'onnxruntime-node',
    note: 'its graphs as shipped, moved to our runtime, its OpenCV pre-processing ported to JavaScript; nobody gets it like this; one thread',
    async face(p) {
      const box = await detect(p);
      if (!box) return false;
      const landmarks = await landmarksOf(p, box);
      const input = cut(p, 112, 112, 3, affine(landmarks), normalised);
      const answer = await run(feature, input, [1, 3, 112, 112]);
      return answer[feature.outputNames[0]].data.length === 512;
    },
  };
}

const PEERS = {
  human,
  'face-api-ssd': faceApi(false),
  'face-api-tiny': faceApi(true),
  faceplugin,
  'faceplugin-moved': facepluginMoved,
};

async function main() {
  const [name = '', framesFile = ''] = process.argv.slice(2);
  if (!Object.hasOwn(PEERS, name)) throw new Error(`no peer "${name}": ${Object.keys(PEERS).join(', ')}`);
  const frames = JSON.parse(readFileSync(framesFile, 'utf8')).map((file) => readFileSync(file));
  const { face, channels, ...about } = await PEERS[name]();
  const one = async (jpeg) => {
    const from = performance.now();
    const picture = await decode(jpeg, channels);
    const decoded = performance.now();
    const found = await face(picture);
    return { ms: performance.now() - from, decodeMs: decoded - from, found };
  };
  for (let i = 0; i < WARM_FRAMES; i++) await one(frames[i % frames.length]);
  say({ ready: true, name, threads: 1, ...about });
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === '') continue;
    const all = [];
    for (const jpeg of frames) all.push(await one(jpeg));
    say({ ms: all.map((f) => f.ms), decodeMs: all.map((f) => f.decodeMs), faces: all.filter((f) => f.found).length });
  }
}

main().then(
  () => process.exit(0),
  (error) => {
    say({ error: error instanceof Error ? error.message : String(error) });
    process.exit(1);
  },
);
