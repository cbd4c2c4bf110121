import {
  createModel,
  dimsOf,
  floatTensor,
  graphOf,
  initializersByName,
  int64Tensor,
  type Model,
  node,
  type Node,
  shapeOf,
  valueInfo,
} from '../graph.js';
import { decomposePrelu } from './decompose-prelu.js';
import { fillChannelBlocks } from './fill-channel-blocks.js';
import { foldNormalisation, whyNotFolded } from './fold-normalisation.js';
import { type Pass } from './pass.js';
import { pruneDeadChannels } from './prune-dead-channels.js';
import { removeTransposes } from './remove-transposes.js';
import { runModel, wave } from './run-model.js';
import { widenByConvolution } from './widen-by-convolution.js';

const SIDE = 6;

/** Builds a graph by hand: a convolution is a call, its weights are waves. */
class Builder {
  readonly nodes: Node[] = [];
  private readonly weights = new Map<string, { dims: number[]; values: Float32Array }>();
  private readonly integers = new Map<string, number[]>();

  constructor(
    private readonly input: number[],
    private readonly output: number[],
  ) {}

  conv(x: string, y: string, dims: number[], pads = 0, group = 1): this {
    const values = wave(dims.reduce((a, b) => a * b)).map((v) => v / 4);
    this.weights.set(`${y}/w`, { dims, values });
    this.weights.set(`${y}/b`, { dims: [dims[0]!], values: wave(dims[0]!).map((v) => v / 3 + 0.1) });
    const kernel = dims.slice(2);
    const attributes = { kernel_shape: kernel, strides: [1, 1], pads: [pads, pads, pads, pads], group };
    this.nodes.push(node('Conv', [x, `${y}/w`, `${y}/b`], y, attributes));
    return this;
  }

  prelu(x: string, y: string, slopes: number[]): this {
    this.weights.set(`${y}/slopes`, { dims: [slopes.length, 1, 1], values: Float32Array.from(slopes) });
    this.nodes.push(node('PRelu', [x, `${y}/slopes`], y));
    return this;
  }

  plain(op: string, x: string[], y: string, attributes: Record<string, number[]> = {}): this {
    this.nodes.push(node(op, x, y, attributes));
    return this;
  }

  constant(name: string, dims: number[], values: number[]): this {
    this.weights.set(name, { dims, values: Float32Array.from(values) });
    return this;
  }

  list(name: string, values: number[]): this {
    this.integers.set(name, values);
    return this;
  }

  /** The filters of these channels become zero. */
  kill(y: string, channels: number[], bias: number): this {
    const { dims, values } = this.weights.get(`${y}/w`)!;
    const size = values.length / dims[0]!;
    for (const c of channels) {
      values.fill(0, c * size, (c + 1) * size);
      this.weights.get(`${y}/b`)!.values[c] = bias;
    }
    return this;
  }

  /** Nobody who reads `x` through this convolution looks at these channels of it. */
  ignore(y: string, channels: number[]): this {
    const { dims, values } = this.weights.get(`${y}/w`)!;
    const size = values.length / dims[0]! / dims[1]!;
    for (let o = 0; o < dims[0]!; o++)
      for (const c of channels) values.fill(0, (o * dims[1]! + c) * size, (o * dims[1]! + c + 1) * size);
    return this;
  }

  model(): Model {
    return createModel({
      nodes: this.nodes,
      initializers: [
        ...[...this.weights].map(([name, { dims, values }]) => floatTensor(name, dims, values)),
        ...[...this.integers].map(([name, values]) => int64Tensor(name, values)),
      ],
      inputs: [valueInfo('input', this.input)],
      outputs: [valueInfo('output', this.output)],
    });
  }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const slopes = (n: number): number[] => range(0, n).map((i) => [-0.3, 0.25, 0.6, 1.232][i % 4]!);

/** A bottleneck as the recogniser has it, with a shortcut around: 1 × 1 up, 3 × 3 a channel, 1 × 1 down. */
const bottleneck = (wide = 48, narrow = 16) =>
  new Builder([1, 3, SIDE, SIDE], [1, 4, SIDE, SIDE])
    .conv('input', 'stem', [narrow, 3, 3, 3], 1)
    .conv('stem', 'up', [wide, narrow, 1, 1])
    .prelu('up', 'upped', slopes(wide))
    .conv('upped', 'own', [wide, 1, 3, 3], 1, wide)
    .prelu('own', 'owned', slopes(wide))
    .conv('owned', 'down', [narrow, wide, 1, 1])
    .plain('Add', ['stem', 'down'], 'sum')
    .plain('Relu', ['sum'], 'rested')
    .conv('rested', 'output', [4, narrow, 3, 3], 1);

const weightsOf = (model: Model, name: string): number[] => dimsOf(initializersByName(model).get(name) ?? {});

/** The largest, as a share of the largest output: float32 rounds at 6e-8, and every sum adds to it. */
async function difference(make: () => Builder, pass: Pass, input = wave(3 * SIDE * SIDE)): Promise<number> {
  const [before, after] = [make().model(), make().model()];
  pass.apply(after);
  const shape = shapeOf(graphOf(before).input[0]!);
  const one = (await runModel(before, shape, input))['output']!;
  const other = (await runModel(after, shapeOf(graphOf(after).input[0]!), input))['output']!;
  expect(other.dims).toEqual(one.dims);
  expect(one.data.some((v) => Math.abs(v) > 0.1)).toBe(true);
  const largest = one.data.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  return one.data.reduce((most, v, i) => Math.max(most, Math.abs(v - (other.data[i] ?? Number.NaN))), 0) / largest;
}

describe('dead channels', () => {
  it('that are zero through a whole bottleneck are removed from all of its weights', async () => {
    const make = () => bottleneck().kill('up', range(3, 20), 0).kill('own', range(3, 20), 0);
    const model = make().model();
    expect(pruneDeadChannels.apply(model)).toMatch(/^32 of 132 channels removed$/);
    expect(weightsOf(model, 'up/w')).toEqual([32, 16, 1, 1]);
    expect(weightsOf(model, 'own/w')).toEqual([32, 1, 3, 3]);
    expect(weightsOf(model, 'down/w')).toEqual([16, 32, 1, 1]);
    expect(await difference(make, pruneDeadChannels)).toBeLessThan(2e-6);
  });

  it('that hold a constant move into the bias of their readers', async () => {
    const make = () => bottleneck().kill('own', range(0, 16), -0.7);
    const model = make().model();
    expect(pruneDeadChannels.apply(model)).toMatch(/^32 of 132/);
    expect(await difference(make, pruneDeadChannels)).toBeLessThan(2e-6);
  });

  it('stay where a constant meets a reader that pads with zeros', () => {
    const model = bottleneck().kill('up', range(0, 16), 0.7).model();
    expect(pruneDeadChannels.apply(model)).toMatch(/^0 of 132/);
  });

  it('that nobody reads are removed with everything that made them', async () => {
    const make = () => bottleneck().ignore('down', range(30, 47));
    const model = make().model();
    expect(pruneDeadChannels.apply(model)).toMatch(/^32 of 132/);
    expect(await difference(make, pruneDeadChannels)).toBeLessThan(2e-6);
  });

  it('stay when the other branch of an addition still varies', () => {
    const make = () => bottleneck(48, 32).kill('down', range(0, 16), 0);
    expect(pruneDeadChannels.apply(make().model())).toMatch(/^0 of 164/);
  });

  it('leave whole blocks: three live ones keep thirteen dead ones', () => {
    const model = bottleneck().kill('up', range(3, 48), 0).kill('own', range(3, 48), 0).model();
    pruneDeadChannels.apply(model);
    expect(weightsOf(model, 'own/w')).toEqual([16, 1, 3, 3]);
  });
});

describe('channels of zeros', () => {
  it('fill a convolution up to whole blocks, through slopes, pooling and shortcuts', async () => {
    const make = () => {
      const builder = bottleneck(13, 5);
      builder.nodes.splice(-1, 1);
      return builder
        .plain('MaxPool', ['rested'], 'pooled', { kernel_shape: [2, 2], strides: [1, 1], pads: [0, 0, 1, 1] })
        .conv('pooled', 'output', [4, 5, 3, 3], 1);
    };
    const model = make().model();
    expect(fillChannelBlocks.apply(model)).toBe('28 channels of zeros added to 40');
    expect(weightsOf(model, 'own/w')).toEqual([16, 1, 3, 3]);
    expect(weightsOf(model, 'output/w')).toEqual([4, 16, 3, 3]);
    expect(await difference(make, fillChannelBlocks)).toBeLessThan(2e-6);
  });

  it('appended by Pad come from a convolution with the identity', async () => {
    const make = () =>
      new Builder([1, 3, SIDE, SIDE], [1, 8, SIDE, SIDE])
        .conv('input', 'a', [5, 3, 3, 3], 1)
        .list('pads', [0, 0, 0, 0, 0, 3, 0, 0])
        .plain('Pad', ['a', 'pads'], 'output');
    const model = make().model();
    expect(widenByConvolution.apply(model)).toBe('1 Pad replaced');
    expect(graphOf(model).node.map((step) => step.opType)).toEqual(['Conv', 'Conv']);
    expect(await difference(make, widenByConvolution)).toBe(0);
    const border = new Builder([1, 3, SIDE, SIDE], [1, 5, SIDE + 1, SIDE])
      .conv('input', 'a', [5, 3, 3, 3], 1)
      .list('pads', [0, 0, 1, 0, 0, 0, 0, 0])
      .plain('Pad', ['a', 'pads'], 'output');
    expect(widenByConvolution.apply(border.model())).toBe('0 Pad replaced');
  });
});

describe('transposes', () => {
  const toNchw = { perm: [0, 3, 1, 2] };
  const toNhwc = { perm: [0, 2, 3, 1] };
  const make = () =>
    new Builder([1, SIDE, SIDE, 3], [1, SIDE * SIDE, 8])
      .plain('Transpose', ['input'], 'x', toNchw)
      .conv('x', 'a', [6, 3, 3, 3], 1)
      .plain('Transpose', ['a'], 'a/nhwc', toNhwc)
      .constant('offset', [1, 1, 6], [1, -1, 2, -2, 3, -3])
      .plain('Add', ['a/nhwc', 'offset'], 'b')
      .constant('slopes', [1, 1, 6], slopes(6))
      .plain('PRelu', ['b', 'slopes'], 'c')
      .list('pads', [0, 0, 0, 0, 0, 0, 0, 2])
      .plain('Pad', ['c', 'pads'], 'd')
      .plain('Transpose', ['d'], 'd/nchw', toNchw)
      .conv('d/nchw', 'e', [8, 8, 1, 1])
      .plain('Transpose', ['e'], 'e/nhwc', toNhwc)
      .plain('Add', ['e/nhwc', 'd'], 'f')
      .list('shape', [1, SIDE * SIDE, 8])
      .plain('Reshape', ['f', 'shape'], 'output');

  it('go, and the input becomes planar; only the last layout needs one', async () => {
    const [before, after] = [make().model(), make().model()];
    expect(removeTransposes.apply(after)).toBe('4 transposes, 1 left');
    expect(shapeOf(graphOf(after).input[0]!)).toEqual([1, 3, SIDE, SIDE]);
    const picture = wave(3 * SIDE * SIDE);
    const planar = picture.map((_, i) => picture[(i % (SIDE * SIDE)) * 3 + Math.floor(i / (SIDE * SIDE))]!);
    const one = (await runModel(before, [1, SIDE, SIDE, 3], picture))['output']!;
    const other = (await runModel(after, [1, 3, SIDE, SIDE], planar))['output']!;
    expect(other.dims).toEqual([1, SIDE * SIDE, 8]);
    expect(Array.from(other.data)).toEqual(Array.from(one.data));
  });
});

describe('normalisation', () => {
  const trained = { mean: [120, 110, 100], scale: 1 / 128 };
  const pixels = wave(3 * SIDE * SIDE).map((v) => 128 + 40 * v);
  const first = (pads: number) =>
    new Builder([1, 3, SIDE, SIDE], [1, 4, SIDE - 2 + 2 * pads, SIDE - 2 + 2 * pads]).conv('input', 'output', [4, 3, 3, 3], pads); // prettier-ignore
  const largest = async (pads: number, { mean, scale }: typeof trained): Promise<number> => {
    const model = first(pads).model();
    foldNormalisation({ mean, scale }).apply(model);
    const normalised = pixels.map((v, i) => (v - mean[Math.floor(i / (SIDE * SIDE))]!) * scale);
    const shape = [1, 3, SIDE, SIDE];
    const one = (await runModel(first(pads).model(), shape, normalised))['output']!;
    const other = (await runModel(model, shape, pixels))['output']!;
    return one.data.reduce((most, v, i) => Math.max(most, Math.abs(v - other.data[i]!)), 0);
  };

  it('goes into the first convolution: mean and scale without padding, the scale alone with it', async () => {
    expect(await largest(0, trained)).toBeLessThan(5e-6);
    expect(await largest(1, { mean: [0, 0, 0], scale: 1 / 255 })).toBeLessThan(5e-6);
  });

  it('stays outside where padding would change its meaning', () => {
    const model = first(1).model();
    expect(whyNotFolded(model, trained)).toContain('pads with zeros');
    expect(() => foldNormalisation(trained).apply(model)).toThrow('pads with zeros');
    expect(whyNotFolded(model, { mean: [0, 0, 0], scale: 1 })).toContain('as they are');
  });
});

describe('a PRelu', () => {
  it('gives its factor to the convolutions that read it', async () => {
    const model = bottleneck().model();
    expect(decomposePrelu.apply(model)).toBe('2 PRelu replaced, 2 factors absorbed');
    expect(await difference(bottleneck, decomposePrelu)).toBeLessThan(2e-6);
  });

  it('keeps it where an addition reads it too, or where a slope is nearly 1', async () => {
    const shared = () => {
      const builder = bottleneck(16, 16);
      builder.nodes.splice(6, 1, node('Add', ['upped', 'down'], 'sum'));
      return builder;
    };
    expect(decomposePrelu.apply(shared().model())).toBe('2 PRelu replaced, 1 factors absorbed');
    expect(await difference(shared, decomposePrelu)).toBeLessThan(2e-6);
    const nearOne = slopes(16).map((a, i) => (i === 0 ? 0.999 : a));
    const steep = () => {
      const builder = bottleneck(16, 16).prelu('own', 'owned', nearOne);
      builder.nodes.splice(4, 1, builder.nodes.pop()!);
      return builder;
    };
    expect(decomposePrelu.apply(steep().model())).toBe('2 PRelu replaced, 1 factors absorbed');
    expect(await difference(steep, decomposePrelu)).toBeLessThan(2e-6);
  });
});
