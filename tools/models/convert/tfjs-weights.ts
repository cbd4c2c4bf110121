/** One weight of a TensorFlow.js weights manifest, widened to float32. */
export interface Weight {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

interface ManifestGroup {
  readonly paths: readonly string[];
  readonly weights: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly dtype: string;
    readonly quantization?: { readonly dtype: string; readonly scale: number; readonly min: number };
  }[];
}

/**
 * Reads the weights that a TensorFlow.js manifest describes. float16 is widened exactly; uint8 and uint16 become
 * `value × scale + min`, rounded once to float32, as TensorFlow.js does it when it loads them.
 */
export function readTfjsWeights(
  groups: readonly ManifestGroup[],
  readFile: (path: string) => Buffer,
): Map<string, Weight> {
  const weights = new Map<string, Weight>();
  for (const group of groups) {
    const bytes = Buffer.concat(group.paths.map(readFile));
    let at = 0;
    for (const { name, shape, dtype, quantization } of group.weights) {
      const stored = quantization?.dtype ?? dtype;
      const reader = READERS[stored];
      if (reader === undefined) throw new Error(`weight ${name} is stored as ${stored}, which is not supported`);
      const { scale, min } = quantization && stored !== 'float16' ? quantization : { scale: 1, min: 0 };
      const count = shape.reduce((product, size) => product * size, 1);
      const data = new Float32Array(count);
      for (let i = 0; i < count; i++, at += reader.bytes) data[i] = reader.read(bytes, at) * scale + min;
      weights.set(name, { shape, data });
    }
    if (at !== bytes.length) throw new Error(`${String(bytes.length - at)} bytes of weights are left over`);
  }
  return weights;
}

const READERS: Record<string, { bytes: number; read: (bytes: Buffer, at: number) => number }> = {
  float32: { bytes: 4, read: (bytes, at) => bytes.readFloatLE(at) },
  int32: { bytes: 4, read: (bytes, at) => bytes.readInt32LE(at) },
  float16: { bytes: 2, read: (bytes, at) => halfToNumber(bytes.readUInt16LE(at)) },
  uint16: { bytes: 2, read: (bytes, at) => bytes.readUInt16LE(at) },
  uint8: { bytes: 1, read: (bytes, at) => bytes.readUInt8(at) },
};

/** IEEE 754 binary16: 1 sign bit, 5 exponent bits biased by 15, 10 fraction bits. */
export function halfToNumber(half: number): number {
  const sign = half >> 15 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** A convolution's weights from TensorFlow's [height, width, in, out] to ONNX's [out, in, height, width]. */
export function convolutionWeights(weight: Weight, depthwise: boolean): { dims: number[]; data: Float32Array } {
  const [height = 1, width = 1, inputs = 1, outputs = 1] = weight.shape;
  const data = new Float32Array(weight.data.length);
  let from = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let i = 0; i < inputs; i++) {
        for (let o = 0; o < outputs; o++, from++) {
          const filter = depthwise ? i * outputs + o : o * inputs + i;
          data[(filter * height + y) * width + x] = weight.data[from] ?? 0;
        }
      }
    }
  }
  const dims = depthwise ? [inputs * outputs, 1, height, width] : [outputs, inputs, height, width];
  return { dims, data };
}
