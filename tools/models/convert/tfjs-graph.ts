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
import { convolutionWeights, readTfjsWeights, type Weight } from './tfjs-weights.js';

interface TfAttribute {
  readonly s?: string;
  readonly list?: { readonly i?: readonly (string | number)[]; readonly s?: readonly string[] };
  readonly shape?: { readonly dim?: readonly { readonly size: string }[] };
}

interface TfNode {
  readonly name: string;
  readonly op: string;
  readonly input?: readonly string[];
  readonly attr?: Readonly<Record<string, TfAttribute>>;
}

interface TfGraphFile {
  readonly modelTopology: { readonly node: readonly TfNode[] };
  readonly weightsManifest: Parameters<typeof readTfjsWeights>[0];
}

export interface TfOutput {
  /** Node name in the TensorFlow graph. */
  readonly from: string;
  readonly name: string;
  readonly shape: readonly number[];
}

const NHWC_TO_NCHW = [0, 3, 1, 2];
const NCHW_TO_NHWC = [0, 2, 3, 1];

/**
 * Converts a TensorFlow.js graph model to ONNX. Only what the wanted outputs need is kept; batch size becomes 1.
 * TensorFlow computes in NHWC and ONNX in NCHW, so every convolution and pooling stands between two transposes; the
 * runtime cancels neighbouring ones when it loads the graph.
 */
export function convertTfjsGraph(
  file: Buffer,
  readWeights: (path: string) => Buffer,
  input: string,
  outputs: readonly TfOutput[],
): Model {
  const parsed = JSON.parse(file.toString('utf8')) as TfGraphFile;
  const converter = new Converter(readTfjsWeights(parsed.weightsManifest, readWeights), input);
  const byName = new Map(parsed.modelTopology.node.map((tf) => [tf.name, tf]));
  for (const tf of inOrder(byName, outputs)) converter.convert(tf);
  for (const output of outputs) converter.emit('Identity', [output.from], output.name);
  return createModel({
    nodes: converter.nodes,
    initializers: [...converter.initializers.values()],
    inputs: converter.inputs,
    outputs: outputs.map(({ name, shape }) => valueInfo(name, shape)),
  });
}

/** Depth first from the outputs: each node after everything it reads. */
function inOrder(byName: ReadonlyMap<string, TfNode>, outputs: readonly TfOutput[]): TfNode[] {
  const ordered: TfNode[] = [];
  const seen = new Set<string>();
  const visit = (reference: string): void => {
    const name = plainName(reference);
    if (seen.has(name)) return;
    seen.add(name);
    const tf = byName.get(name);
    if (tf === undefined) throw new Error(`the graph refers to ${name}, which it does not hold`);
    tf.input?.forEach(visit);
    ordered.push(tf);
  };
  outputs.forEach((output) => visit(output.from));
  return ordered;
}

class Converter {
  readonly nodes: Node[] = [];
  readonly initializers = new Map<string, Tensor>();
  readonly inputs: ReturnType<typeof valueInfo>[] = [];
  private placeholderName: string | undefined;

  constructor(
    private readonly weights: ReadonlyMap<string, Weight>,
    private readonly inputName: string,
  ) {}

  convert(tf: TfNode): void {
    const [first = '', second = ''] = tf.input ?? [];
    switch (tf.op) {
      case 'Const':
        return;
      case 'Placeholder':
        return this.placeholder(tf);
      case 'Conv2D':
      case '_FusedConv2D':
        return this.convolution(tf, false);
      case 'DepthwiseConv2dNative':
      case 'FusedDepthwiseConv2dNative':
        return this.convolution(tf, true);
      case 'MaxPool':
        return this.maxPool(tf);
      case 'Prelu':
        return this.emit('PRelu', [first, this.weightOf(second)], tf.name);
      case 'Add':
      case 'AddV2':
        return this.emit('Add', [this.operand(first), this.operand(second)], tf.name);
      case 'Relu':
      case 'Sigmoid':
      case 'Identity':
        return this.emit(tf.op, [first], tf.name);
      case 'Pad':
        return this.emit('Pad', [first, this.indices(`${tf.name}/pads`, pads(this.constant(second)))], tf.name);
      case 'Reshape':
        return this.emit('Reshape', [first, this.indices(`${tf.name}/shape`, this.constant(second).data)], tf.name);
      default:
        throw new Error(`operator ${tf.op} (${tf.name}) has no conversion`);
    }
  }

  emit(op: string, input: readonly string[], output: string, attributes?: Parameters<typeof node>[3]): void {
    const names = input.map(plainName).map((name) => (name === this.placeholderName ? this.inputName : name));
    this.nodes.push(node(op, names, output, attributes));
  }

  private placeholder(tf: TfNode): void {
    const sizes = (tf.attr?.['shape']?.shape?.dim ?? []).map((dim) => Number(dim.size));
    this.inputs.push(
      valueInfo(
        this.inputName,
        sizes.map((size) => (size < 0 ? 1 : size)),
      ),
    );
    this.placeholderName = tf.name;
  }

  private convolution(tf: TfNode, depthwise: boolean): void {
    const [source = '', filter = '', ...rest] = tf.input ?? [];
    const weight = this.constant(filter);
    const { dims, data } = convolutionWeights(weight, depthwise);
    const [, strideY = 1, strideX = 1] = numbers(tf, 'strides', [1, 1, 1, 1]);
    const [, dilationY = 1, dilationX = 1] = numbers(tf, 'dilations', [1, 1, 1, 1]);
    const channels = dims[0] ?? 0;
    const fused = (tf.attr?.['fused_ops']?.list?.s ?? []).map(decodeText);
    const input = [this.toNchw(tf, source), this.keep(floatTensor(`${tf.name}/weight`, dims, data))];
    if (fused[0] === 'BiasAdd') {
      fused.shift();
      input.push(this.keep(floatTensor(`${tf.name}/bias`, [channels], this.constant(rest.shift() ?? '').data)));
    }
    let value = `${tf.name}/conv`;
    this.emit('Conv', input, value, {
      strides: [strideY, strideX],
      dilations: [dilationY, dilationX],
      kernel_shape: dims.slice(2),
      group: depthwise ? (weight.shape[2] ?? 1) : 1,
      auto_pad: autoPad(tf),
    });
    for (const op of fused) {
      const next = `${tf.name}/${op.toLowerCase()}`;
      if (op === 'Relu') this.emit('Relu', [value], next);
      else if (op === 'Prelu') this.emit('PRelu', [value, this.slopes(next, rest.shift() ?? '')], next);
      else throw new Error(`fused operator ${op} (${tf.name}) has no conversion`);
      value = next;
    }
    this.emit('Transpose', [value], tf.name, { perm: NCHW_TO_NHWC });
  }

  private maxPool(tf: TfNode): void {
    const [, kernelY = 1, kernelX = 1] = numbers(tf, 'ksize', []);
    const [, strideY = 1, strideX = 1] = numbers(tf, 'strides', []);
    this.emit('MaxPool', [this.toNchw(tf, tf.input?.[0] ?? '')], `${tf.name}/pool`, {
      kernel_shape: [kernelY, kernelX],
      strides: [strideY, strideX],
      auto_pad: autoPad(tf),
    });
    this.emit('Transpose', [`${tf.name}/pool`], tf.name, { perm: NCHW_TO_NHWC });
  }

  private toNchw(tf: TfNode, source: string): string {
    const name = `${tf.name}/nchw`;
    this.emit('Transpose', [source], name, { perm: NHWC_TO_NCHW });
    return name;
  }

  /** A fused PRelu sits on the NCHW side of the convolution: one slope a channel. */
  private slopes(name: string, reference: string): string {
    const { data } = this.constant(reference);
    return this.keep(floatTensor(`${name}/slope`, [data.length, 1, 1], data));
  }

  private operand(reference: string): string {
    return this.weights.has(plainName(reference)) ? this.weightOf(reference) : reference;
  }

  private weightOf(reference: string): string {
    const { shape, data } = this.constant(reference);
    return this.keep(floatTensor(plainName(reference), shape, data));
  }

  private indices(name: string, values: Iterable<number>): string {
    return this.keep(int64Tensor(name, values));
  }

  private keep(tensor: Tensor): string {
    const name = tensor.name ?? '';
    this.initializers.set(name, tensor);
    return name;
  }

  private constant(reference: string): Weight {
    const weight = this.weights.get(plainName(reference));
    if (weight === undefined) throw new Error(`${reference} is not a constant of the graph`);
    return weight;
  }
}

/** TensorFlow pads as pairs for each axis; ONNX wants all beginnings, then all ends. */
function pads({ data }: Weight): number[] {
  const even = [...data].filter((_, index) => index % 2 === 0);
  const odd = [...data].filter((_, index) => index % 2 === 1);
  return [...even, ...odd];
}

function autoPad(tf: TfNode): string {
  const padding = decodeText(tf.attr?.['padding']?.s ?? '');
  if (padding === 'SAME') return 'SAME_UPPER';
  if (padding === 'VALID') return 'VALID';
  throw new Error(`padding ${padding} (${tf.name}) has no conversion`);
}

function numbers(tf: TfNode, key: string, missing: readonly number[]): number[] {
  return (tf.attr?.[key]?.list?.i ?? missing).map(Number);
}

const decodeText = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8');
const plainName = (reference: string): string => reference.replace(/^\^/, '').replace(/:0$/, '');
