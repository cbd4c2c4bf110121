import { createModel, floatTensor, type Model, node, type Node, type Tensor, valueInfo } from '../graph.js';
import { convolutionWeights, readTfjsWeights, type Weight } from './tfjs-weights.js';

const SIDE = 112;
const CLASSES = 7;

/**
 * Builds face-api's expression network (a small Xception of four dense blocks) from its bare weights: the package ships
 * no graph, so the layers are written down here. Input NHWC, output seven probabilities.
 */
export function convertFaceExpression(manifest: Buffer, readWeights: (path: string) => Buffer): Model {
  const groups = JSON.parse(manifest.toString('utf8')) as Parameters<typeof readTfjsWeights>[0];
  const network = new Network(readTfjsWeights(groups, readWeights));
  let value = network.apply('Transpose', ['input'], 'nchw', { perm: [0, 3, 1, 2] });
  for (let block = 0; block < 4; block++) value = network.denseBlock(value, `dense${String(block)}`, block === 0);
  const pooling = { kernel_shape: [7, 7], strides: [2, 2], auto_pad: 'VALID' };
  value = network.apply('AveragePool', [value], 'pooled', pooling);
  value = network.apply('Flatten', [value], 'features', { axis: 1 });
  value = network.apply('MatMul', [value, network.constant('fc/weights')], 'fc/product');
  value = network.apply('Add', [value, network.constant('fc/bias')], 'fc/sum');
  network.apply('Softmax', [value], 'probabilities', { axis: -1 });
  return createModel({
    nodes: network.nodes,
    initializers: network.initializers,
    inputs: [valueInfo('input', [1, SIDE, SIDE, 3])],
    outputs: [valueInfo('probabilities', [1, CLASSES])],
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

  constant(name: string): string {
    const { shape, data } = this.weight(name);
    this.initializers.push(floatTensor(name, shape, data));
    return name;
  }

  /** Four convolutions, each adding to the running sum of those before it. */
  denseBlock(source: string, block: string, plainFirst: boolean): string {
    const relu = (value: string): string => this.apply('Relu', [value], `${value}/relu`);
    const add = (a: string, b: string): string => this.apply('Add', [a, b], `${b}/sum`);
    const first = plainFirst
      ? this.convolution(source, `${block}/conv0`, 'filters', 2, false, true)
      : this.separable(source, `${block}/conv0`, 2);
    const one = relu(first);
    const two = add(one, this.separable(one, `${block}/conv1`, 1));
    const three = add(two, this.separable(relu(two), `${block}/conv2`, 1));
    return relu(add(three, this.separable(relu(three), `${block}/conv3`, 1)));
  }

  private separable(source: string, layer: string, stride: number): string {
    const depthwise = this.convolution(source, layer, 'depthwise_filter', stride, true, false);
    return this.convolution(depthwise, layer, 'pointwise_filter', 1, false, true);
  }

  private convolution(
    source: string,
    layer: string,
    filter: string,
    stride: number,
    depthwise: boolean,
    bias: boolean,
  ): string {
    const { dims, data } = convolutionWeights(this.weight(`${layer}/${filter}`), depthwise);
    const weights = `${layer}/${filter}`;
    this.initializers.push(floatTensor(weights, dims, data));
    const input = [source, weights];
    if (bias) input.push(this.constant(`${layer}/bias`));
    return this.apply('Conv', input, `${weights}/out`, {
      strides: [stride, stride],
      kernel_shape: dims.slice(2),
      group: depthwise ? (dims[0] ?? 1) : 1,
      auto_pad: 'SAME_UPPER',
    });
  }

  private weight(name: string): Weight {
    const weight = this.weights.get(name);
    if (weight === undefined) throw new Error(`the expression network has no weight ${name}`);
    return weight;
  }
}
