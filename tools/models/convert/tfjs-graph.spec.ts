import { runModel } from '../passes/run-model.js';
import { convertTfjsGraph } from './tfjs-graph.js';
import { convolutionWeights, halfToNumber, readTfjsWeights } from './tfjs-weights.js';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const size = (...sizes: number[]) => ({ shape: { dim: sizes.map((s) => ({ size: String(s) })) } });
const strides = (step: number) => ({ list: { i: ['1', String(step), String(step), '1'] } });

/** Input of unknown batch size, a strided 3 × 3 convolution with bias and ReLU, and a PRelu. */
function smallGraph(): { file: Buffer; weights: Buffer; filter: number[]; bias: number[]; slope: number[] } {
  const filter = Array.from({ length: 3 * 3 * 2 * 2 }, (_, i) => Math.fround(Math.sin(i)));
  const bias = [0.25, -0.5];
  const slope = [0.5, 2];
  const names = [
    ['filter', [3, 3, 2, 2]],
    ['bias', [2]],
    ['slope', [1, 1, 2]],
  ] as const;
  const constants = names.map(([name]) => ({ name, op: 'Const' }));
  const convolution = {
    name: 'conv',
    op: '_FusedConv2D',
    input: ['x', 'filter', 'bias'],
    attr: { strides: strides(2), padding: { s: base64('SAME') }, fused_ops: { list: { s: [base64('BiasAdd')] } } },
  };
  const nodes = [
    { name: 'x', op: 'Placeholder', attr: { shape: size(-1, 5, 4, 2) } },
    ...constants,
    convolution,
    { name: 'prelu', op: 'Prelu', input: ['conv', 'slope'] },
    { name: 'unused', op: 'SomethingWeCannotConvert', input: ['prelu'] },
  ];
  const weightsManifest = [
    { paths: ['w.bin'], weights: names.map(([name, shape]) => ({ name, shape, dtype: 'float32' })) },
  ];
  return {
    file: Buffer.from(JSON.stringify({ modelTopology: { node: nodes }, weightsManifest })),
    weights: Buffer.from(Float32Array.from([...filter, ...bias, ...slope]).buffer),
    filter,
    bias,
    slope,
  };
}

describe('a converted graph answers what TensorFlow would', () => {
  it('strided convolution with SAME padding, bias and PRelu, against a plain loop', async () => {
    const { file, weights, filter, bias, slope } = smallGraph();
    const output = { from: 'prelu', name: 'output', shape: [1, 3, 2, 2] };
    const model = convertTfjsGraph(file, () => weights, 'input', [output]);
    const input = Float32Array.from({ length: 5 * 4 * 2 }, (_, i) => Math.cos(i * 0.7));
    const answer = await runModel(model, [1, 5, 4, 2], input);
    expect(answer['output']?.dims).toEqual([1, 3, 2, 2]);
    // SAME: 5 rows by step 2 need 2 rows of padding, one on each side; 4 columns need 1, after the last.
    const expected: number[] = [];
    for (let y = 0; y < 3; y++) {
      for (let x = 0; x < 2; x++) {
        for (let o = 0; o < 2; o++) {
          let sum = bias[o] ?? 0;
          for (let ky = 0; ky < 3; ky++) {
            for (let kx = 0; kx < 3; kx++) {
              const [row, column] = [2 * y + ky - 1, 2 * x + kx];
              if (row < 0 || row >= 5 || column >= 4) continue;
              for (let i = 0; i < 2; i++) {
                sum += (input[(row * 4 + column) * 2 + i] ?? 0) * (filter[((ky * 3 + kx) * 2 + i) * 2 + o] ?? 0);
              }
            }
          }
          expected.push(sum >= 0 ? sum : sum * (slope[o] ?? 0));
        }
      }
    }
    const values = Array.from(answer['output']?.data ?? []);
    expect(values).toHaveLength(expected.length);
    expected.forEach((value, i) => expect(values[i]).toBeCloseTo(value, 5));
  });

  it('names an operator it cannot convert', () => {
    const { file, weights } = smallGraph();
    const output = { from: 'unused', name: 'output', shape: [1] };
    expect(() => convertTfjsGraph(file, () => weights, 'input', [output])).toThrow('SomethingWeCannotConvert');
  });
});

describe('weights are read as TensorFlow.js reads them', () => {
  it('widens half precision exactly', () => {
    expect([0x3c00, 0xc000, 0x0001, 0x7bff, 0x8000].map(halfToNumber)).toEqual([1, -2, 2 ** -24, 65504, -0]);
    expect(halfToNumber(0x7c00)).toBe(Number.POSITIVE_INFINITY);
    expect(halfToNumber(0x7e00)).toBeNaN();
  });

  it('scales bytes and refuses weights that are left over', () => {
    const quantization = { dtype: 'uint8', scale: 0.5, min: -1 };
    const group = [{ paths: ['w'], weights: [{ name: 'w', shape: [3], dtype: 'float32', quantization }] }];
    const read = (bytes: number[]) => readTfjsWeights(group, () => Buffer.from(bytes)).get('w')?.data;
    expect(Array.from(read([0, 2, 255]) ?? [])).toEqual([-1, 0, 126.5]);
    expect(() => read([0, 2, 255, 7])).toThrow('left over');
  });

  it('turns depthwise filters so that each channel keeps its own', () => {
    const { dims, data } = convolutionWeights({ shape: [1, 2, 3, 1], data: Float32Array.of(1, 2, 3, 4, 5, 6) }, true);
    expect(dims).toEqual([3, 1, 1, 2]);
    expect(Array.from(data)).toEqual([1, 4, 2, 5, 3, 6]);
  });
});
