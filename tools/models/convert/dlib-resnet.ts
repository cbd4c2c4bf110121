import {
  createModel,
  floatTensor,
  int64Tensor,
  type Model,
  node,
  type Node,
  type Tensor,
  valueInfo,
} from '../graph.js';
import { readTfjsWeights, type Weight } from './tfjs-weights.js';

const SIDE = 150;
const LENGTH = 128;

/**
 * Builds dlib's face recognition network (a ResNet of 29 layers) from the bare weights that face-api ships: no graph
 * comes with them, so the layers are written down here. Input NCHW, output an embedding that is not normalised. dlib's
 * scale after each convolution is folded into it.
 */
export function convertDlibResnet(manifest: Buffer, readWeights: (path: string) => Buffer): Model {
  const groups = JSON.parse(manifest.toString('utf8')) as Parameters<typeof readTfjsWeights>[0];
  const network = new Network(readTfjsWeights(groups, readWeights));
  let x = network.relu(network.convolution('input', 'conv32_down', 2, false));
  x = network.apply('MaxPool', [x], 'pooled', { kernel_shape: [3, 3], strides: [2, 2] });
  for (const layer of ['conv32_1', 'conv32_2', 'conv32_3']) x = network.residual(x, layer);
  x = network.down(x, 'conv64_down', 32, false);
  for (const layer of ['conv64_1', 'conv64_2', 'conv64_3']) x = network.residual(x, layer);
  x = network.down(x, 'conv128_down', 64, false);
  for (const layer of ['conv128_1', 'conv128_2']) x = network.residual(x, layer);
  x = network.down(x, 'conv256_down', 128, true);
  for (const layer of ['conv256_1', 'conv256_2']) x = network.residual(x, layer);
  x = network.down(x, 'conv256_down_out', 0, true);
  x = network.apply('GlobalAveragePool', [x], 'averaged');
  x = network.apply('Flatten', [x], 'features', { axis: 1 });
  network.apply('MatMul', [x, network.constant('fc')], 'embedding');
  return createModel({
    nodes: network.nodes,
    initializers: network.initializers,
    inputs: [valueInfo('input', [1, 3, SIDE, SIDE])],
    outputs: [valueInfo('embedding', [1, LENGTH])],
  });
}

class Network {
  readonly nodes: Node[] = [];
  readonly initializers: Tensor[] = [];

  constructor(private readonly weights: ReadonlyMap<string, Weight>) {}

  apply(op: string, input: readonly string[], output: string, attributes?: Parameters<typeof node>[3]): string {
    this.nodes.push(node(op, input, output, attributes));
    return output;
  }

  relu(x: string): string {
    return this.apply('Relu', [x], `${x}/relu`);
  }

  constant(name: string): string {
    const { shape, data } = this.weight(name);
    this.initializers.push(floatTensor(name, shape, data));
    return name;
  }

  residual(x: string, layer: string): string {
    return this.relu(this.apply('Add', [this.branch(x, layer, 1, true), x], `${layer}/sum`));
  }

  /** Half the size: the shortcut is averaged, and what it lacks in channels, rows or columns counts as zero. */
  down(x: string, layer: string, channels: number, border: boolean): string {
    let branch = this.branch(x, layer, 2, false);
    let shortcut = this.apply('AveragePool', [x], `${layer}/average`, { kernel_shape: [2, 2], strides: [2, 2] });
    if (channels > 0) shortcut = this.pad(shortcut, `${layer}/wide`, [0, channels, 0, 0]);
    if (border) branch = this.pad(branch, `${layer}/large`, [0, 0, 1, 1]);
    return this.relu(this.apply('Add', [shortcut, branch], `${layer}/sum`));
  }

  convolution(x: string, layer: string, stride: number, padded: boolean): string {
    const { shape, data } = this.weight(`${layer}/conv/filters`);
    const [height = 1, width = 1, inputs = 1, outputs = 1] = shape;
    const bias = this.weight(`${layer}/conv/bias`).data;
    const scale = this.weight(`${layer}/scale/weights`).data;
    const shift = this.weight(`${layer}/scale/biases`).data;
    const values = new Float32Array(data.length);
    let from = 0;
    for (let y = 0; y < height; y++)
      for (let k = 0; k < width; k++)
        for (let i = 0; i < inputs; i++)
          for (let o = 0; o < outputs; o++, from++)
            values[((o * inputs + i) * height + y) * width + k] = (data[from] ?? 0) * (scale[o] ?? 0);
    this.initializers.push(
      floatTensor(`${layer}/weight`, [outputs, inputs, height, width], values),
      floatTensor(
        `${layer}/bias`,
        [outputs],
        bias.map((b, o) => b * (scale[o] ?? 0) + (shift[o] ?? 0)),
      ),
    );
    const pad = padded ? 1 : 0;
    return this.apply('Conv', [x, `${layer}/weight`, `${layer}/bias`], `${layer}/out`, {
      kernel_shape: [height, width],
      strides: [stride, stride],
      pads: [pad, pad, pad, pad],
    });
  }

  private branch(x: string, layer: string, stride: number, padded: boolean): string {
    const first = this.relu(this.convolution(x, `${layer}/conv1`, stride, padded));
    return this.convolution(first, `${layer}/conv2`, 1, true);
  }

  private pad(x: string, output: string, after: readonly number[]): string {
    this.initializers.push(int64Tensor(`${output}/pads`, [0, 0, 0, 0, ...after]));
    return this.apply('Pad', [x, `${output}/pads`], output);
  }

  private weight(name: string): Weight {
    const weight = this.weights.get(name);
    if (weight === undefined) throw new Error(`the recogniser has no weight ${name}`);
    return weight;
  }
}
