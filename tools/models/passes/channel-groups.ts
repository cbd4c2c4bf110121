import {
  dimsOf,
  dropUnusedInitializers,
  floatsOf,
  floatTensor,
  graphOf,
  initializersByName,
  integersOf,
  type Model,
  type Node,
  setAttribute,
  setFloats,
  type Tensor,
  textOf,
} from '../graph.js';

/** The runtime's vectorised kernels take channels in blocks of 16 (8 without AVX-512), and only whole ones. */
export const CHANNEL_BLOCK = 16;

export type Layout = readonly (number | null)[];

/** A convolution as seen here: each output channel reads all input channels, or only its own. */
interface Convolution {
  readonly weights: Float32Array;
  readonly bias: Float32Array;
  readonly outputs: number;
  /** Input channels of one output channel: 1 when depthwise. */
  readonly inputs: number;
  readonly depthwise: boolean;
  readonly padded: boolean;
}

/** What is known of a tensor's channels: the number a channel always holds, or NaN where it varies. */
type Channels = Float64Array;

/**
 * The channels of a graph's convolutions: which tensors must keep the same ones, what is known of each, and the rewrite
 * of all weights once it is decided which channels remain.
 */
export class ChannelGroups {
  private readonly initializers: Map<string, Tensor>;
  private readonly convolutions = new Map<Node, Convolution>();
  private readonly channels = new Map<string, Channels>();
  private readonly readers = new Map<string, Node[]>();
  /** Tensors that elementwise and depthwise operators tie together keep the same channels. */
  private readonly parents = new Map<string, string>();
  private readonly pinned = new Set<string>();
  /** By group: the old channel that each new one is, null for a channel of zeros. */
  private readonly layouts = new Map<string, Layout>();

  constructor(private readonly model: Model) {
    const graph = graphOf(model);
    this.initializers = initializersByName(model);
    for (const step of graph.node)
      for (const name of step.input ?? []) this.readers.set(name, [...(this.readers.get(name) ?? []), step]);
    for (const step of graph.node) this.follow(step);
    for (const { name } of graph.output) this.pin(name ?? '');
    for (const [group, [first = '']] of this.groups())
      this.layouts.set(
        group,
        Array.from(this.channelsOf(first), (_, i) => i),
      );
  }

  /** Every group of tensors that may change its channels. */
  get free(): Map<string, string[]> {
    const groups = this.groups();
    for (const name of this.pinned) groups.delete(this.root(name));
    return groups;
  }

  layoutOf(group: string): Layout {
    return this.layouts.get(this.root(group)) ?? [];
  }

  setLayout(group: string, layout: Layout): void {
    this.layouts.set(group, layout);
  }

  /** Gives all weights their new channels. Returns the convolutions' output channels, before and after. */
  rewrite(): { before: number; after: number } {
    let before = 0;
    let after = 0;
    for (const step of graphOf(this.model).node) {
      const convolution = this.convolutions.get(step);
      if (convolution) {
        before += convolution.outputs;
        after += this.rewriteConvolution(step, convolution);
      }
      if (step.opType === 'PRelu' && this.channels.has(outputOf(step))) this.rewriteSlopes(step);
    }
    dropUnusedInitializers(this.model);
    return { before, after };
  }

  /** What is known of this operator's output, from what is known of its inputs. */
  private follow(step: Node): void {
    const [x = '', y = ''] = step.input ?? [];
    const output = outputOf(step);
    const convolution = step.opType === 'Conv' ? this.readConvolution(step) : null;
    if (convolution) {
      this.convolutions.set(step, convolution);
      this.channels.set(output, convolve(convolution, this.channels.get(x)));
      if (convolution.depthwise && this.channels.has(x)) this.tie(x, output);
      else if (convolution.depthwise) this.pin(output);
      return;
    }
    const known = this.channels.get(x);
    const slope = step.opType === 'PRelu' ? this.initializers.get(y) : undefined;
    if (known && (step.opType === 'Relu' || (slope && floatsOf(slope).length === known.length))) {
      const slopes = slope ? floatsOf(slope) : null;
      this.channels.set(
        output,
        known.map((v, i) => (v < 0 ? v * (slopes?.[i] ?? 0) : v)),
      );
      this.tie(x, output);
      return;
    }
    if (known && step.opType === 'MaxPool') {
      this.channels.set(output, known);
      this.tie(x, output);
      return;
    }
    const other = this.channels.get(y);
    if (step.opType === 'Add' && known && other?.length === known.length) {
      this.channels.set(
        output,
        known.map((v, i) => v + (other[i] ?? Number.NaN)),
      );
      this.tie(x, output);
      this.tie(y, output);
      return;
    }
    for (const name of step.input ?? []) this.pin(name);
  }

  private readConvolution(step: Node): Convolution | null {
    const [x = '', weightName = '', biasName] = step.input ?? [];
    const weight = this.initializers.get(weightName);
    const bias = biasName ? this.initializers.get(biasName) : undefined;
    const shared = [weightName, biasName].some((name) => name && (this.readers.get(name)?.length ?? 0) > 1);
    const [outputs = 0, inputs = 0] = weight ? dimsOf(weight) : [];
    const [groups = 1] = integersOf(step, 'group');
    const depthwise = groups > 1 && groups === outputs && inputs === 1;
    if (!weight || (biasName && !bias) || shared || (groups > 1 && !depthwise)) {
      this.pin(x);
      return null;
    }
    const autoPad = textOf(step, 'auto_pad');
    return {
      weights: floatsOf(weight),
      bias: bias ? floatsOf(bias) : new Float32Array(outputs),
      outputs,
      inputs,
      depthwise,
      padded: integersOf(step, 'pads').some((pad) => pad > 0) || autoPad?.startsWith('SAME') === true,
    };
  }

  /** Whether nobody misses a channel of a tensor: each reader of all channels ignores it, or takes it as a part of its bias. */
  isDroppable(name: string, channel: number): boolean {
    const value = this.channelsOf(name)[channel] ?? Number.NaN;
    return (this.readers.get(name) ?? []).every((reader) => {
      const convolution = this.convolutions.get(reader);
      // Tied readers are judged by their own outputs, which are in the same group.
      if (!convolution || convolution.depthwise) return true;
      if (value === 0 || (!Number.isNaN(value) && !convolution.padded)) return true;
      const outputs = this.layoutOf(outputOf(reader));
      return outputs.every((o) => o === null || filterOf(convolution, o, channel).every((w) => w === 0));
    });
  }

  private rewriteConvolution(step: Node, convolution: Convolution): number {
    const [x = '', weightName = '', biasName] = step.input ?? [];
    const outputs = this.layoutOf(outputOf(step));
    const known = this.channels.get(x);
    const inputs: Layout =
      convolution.depthwise || !known ? Array.from({ length: convolution.inputs }, (_, i) => i) : this.layoutOf(x);
    const bias = outputs.map((o) => {
      if (o === null) return 0;
      return (convolution.bias[o] ?? 0) + (convolution.depthwise ? 0 : foldedBias(convolution, o, inputs, known));
    });
    const size = filterOf(convolution, 0, 0).length;
    const weights = new Float32Array(outputs.length * inputs.length * size);
    outputs.forEach((o, row) =>
      inputs.forEach((i, column) => {
        if (o !== null && i !== null) weights.set(filterOf(convolution, o, i), (row * inputs.length + column) * size);
      }),
    );
    const weight = this.initializer(weightName);
    setFloats(weight, weights, [outputs.length, inputs.length, ...dimsOf(weight).slice(2)]);
    if (biasName) setFloats(this.initializer(biasName), Float32Array.from(bias), [outputs.length]);
    else if (bias.some((b) => b !== 0)) {
      const added = `${weightName}/bias`;
      graphOf(this.model).initializer.push(floatTensor(added, [outputs.length], bias));
      step.input = [x, weightName, added];
    }
    if (convolution.depthwise) setAttribute(step, 'group', outputs.length);
    return outputs.length;
  }

  private rewriteSlopes(step: Node): void {
    const [x = '', name = ''] = step.input ?? [];
    const values = floatsOf(this.initializer(name));
    const layout = this.layoutOf(outputOf(step));
    const slopes = layout.map((channel) => (channel === null ? 0 : (values[channel] ?? 0)));
    if (this.readers.get(name)?.length === 1) {
      setFloats(this.initializer(name), Float32Array.from(slopes), [layout.length, 1, 1]);
      return;
    }
    // Another PRelu may keep other channels of the same slopes.
    const own = `${outputOf(step)}/slope`;
    graphOf(this.model).initializer.push(floatTensor(own, [layout.length, 1, 1], slopes));
    step.input = [x, own];
  }

  private initializer(name: string): Tensor {
    const tensor = this.initializers.get(name);
    if (!tensor) throw new Error(`the graph has no weights ${name}`);
    return tensor;
  }

  private groups(): Map<string, string[]> {
    const groups = new Map<string, string[]>();
    for (const name of this.channels.keys()) {
      const root = this.root(name);
      groups.set(root, [...(groups.get(root) ?? []), name]);
    }
    return groups;
  }

  private channelsOf(name: string): Channels {
    const known = this.channels.get(name);
    if (!known) throw new Error(`nothing is known of ${name}`);
    return known;
  }

  private root(name: string): string {
    const parent = this.parents.get(name);
    return parent === undefined ? name : this.root(parent);
  }

  private tie(a: string, b: string): void {
    const [rootA, rootB] = [this.root(a), this.root(b)];
    if (rootA !== rootB) this.parents.set(rootB, rootA);
  }

  private pin(name: string): void {
    if (this.channels.has(name)) this.pinned.add(name);
  }
}

const outputOf = (step: Node): string => step.output?.[0] ?? '';

function filterOf({ weights, outputs, inputs }: Convolution, output: number, input: number): Float32Array {
  const size = weights.length / (outputs * inputs);
  const at = (output * inputs + input) * size;
  return weights.subarray(at, at + size);
}

function convolve(convolution: Convolution, input: Channels | undefined): Channels {
  const { outputs, inputs, bias, depthwise, padded } = convolution;
  return Float64Array.from({ length: outputs }, (_, o) => {
    let sum = bias[o] ?? 0;
    for (let i = 0; i < inputs; i++) {
      const filter = filterOf(convolution, o, i);
      if (filter.every((w) => w === 0)) continue;
      const value = input?.[depthwise ? o : i] ?? Number.NaN;
      if (Number.isNaN(value) || (padded && value !== 0)) return Number.NaN;
      sum += filter.reduce((s, w) => s + w, 0) * value;
    }
    return sum;
  });
}

/** What the removed constant channels of the input add to one output. */
function foldedBias(convolution: Convolution, output: number, inputs: Layout, known: Channels | undefined): number {
  const kept = new Set(inputs);
  let sum = 0;
  known?.forEach((value, i) => {
    if (kept.has(i) || value === 0 || Number.isNaN(value)) return;
    sum += filterOf(convolution, output, i).reduce((s, w) => s + w, 0) * value;
  });
  return sum;
}
