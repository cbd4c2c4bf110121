import {
  dimsOf,
  dropUnusedInitializers,
  floatsOf,
  floatTensor,
  graphOf,
  initializersByName,
  int64sOf,
  int64Tensor,
  integersOf,
  node,
  type Node,
  setShape,
  shapeOf,
  type Tensor,
} from '../graph.js';
import { type Pass } from './pass.js';

const NHWC_TO_NCHW = '0,3,1,2';
const NCHW_TO_NHWC = '0,2,3,1';
const ELEMENTWISE = new Set(['Add', 'Mul', 'Relu', 'PRelu', 'Sigmoid', 'Identity']);

/**
 * Computes in NCHW throughout, the input included: what stood between two transposes reads and writes NCHW itself, and
 * a transpose is left only where values are laid out in one row at the end.
 */
export const removeTransposes: Pass = {
  name: 'remove-transposes',
  apply(model) {
    const graph = graphOf(model);
    const initializers = initializersByName(model);
    /** The same values in NCHW, by the name of the NHWC tensor. */
    const planar = new Map<string, string>();
    const turned = new Map<string, Tensor>();
    const nodes: Node[] = [];
    const before = count(graph.node);
    for (const input of graph.input) {
      const name = input.name ?? '';
      const readers = graph.node.filter((step) => step.input?.includes(name));
      if (readers.length === 0 || !readers.every((step) => permutationOf(step) === NHWC_TO_NCHW)) continue;
      const [batch = 1, height = 1, width = 1, channels = 1] = shapeOf(input);
      setShape(input, [batch, channels, height, width]);
      planar.set(name, name);
    }
    /** A constant that NHWC values are combined with: one number a channel, or for all. */
    const turn = (name: string): string | null => {
      const constant = initializers.get(name);
      const dims = constant ? dimsOf(constant) : [];
      const channels = dims.at(-1) ?? 1;
      if (!constant || dims.slice(0, -1).some((size) => size !== 1)) return null;
      const tensor = floatTensor(`${name}/planar`, [channels, 1, 1], floatsOf(constant));
      turned.set(name, tensor);
      return tensor.name ?? '';
    };
    const emit = (step: Node): void => {
      const inputs = step.input ?? [];
      const [x = ''] = inputs;
      const [output = ''] = step.output ?? [];
      const permutation = permutationOf(step);
      if (permutation === NCHW_TO_NHWC) {
        planar.set(output, x);
        return;
      }
      if (permutation === NHWC_TO_NCHW && planar.has(x)) {
        aliases.set(output, planar.get(x) ?? '');
        return;
      }
      if (ELEMENTWISE.has(step.opType ?? '') && inputs.some((name) => planar.has(name))) {
        const operands = inputs.map((name) => planar.get(name) ?? turn(name));
        if (operands.every((name) => name !== null)) {
          nodes.push({ ...step, input: operands, output: [`${output}/planar`] });
          planar.set(output, `${output}/planar`);
          return;
        }
      }
      const pads = step.opType === 'Pad' ? initializers.get(inputs[1] ?? '') : undefined;
      if (pads && planar.has(x)) {
        const order = NHWC_TO_NCHW.split(',').map(Number);
        const old = int64sOf(pads);
        const moved = int64Tensor(
          `${output}/pads`,
          [...order, ...order.map((axis) => axis + 4)].map((i) => old[i] ?? 0),
        );
        turned.set(`${output}/pads`, moved);
        nodes.push({ ...step, input: [planar.get(x) ?? '', moved.name ?? ''], output: [`${output}/planar`] });
        planar.set(output, `${output}/planar`);
        return;
      }
      for (const name of inputs) restore(name);
      nodes.push({ ...step, input: inputs.map((name) => aliases.get(name) ?? name) });
    };
    const aliases = new Map<string, string>();
    const restored = new Set<string>();
    /** For a reader that needs NHWC after all. */
    const restore = (name: string): void => {
      const source = planar.get(name);
      if (source === undefined || restored.has(name)) return;
      restored.add(name);
      const perm = NCHW_TO_NHWC.split(',').map(Number);
      nodes.push({ ...node('Transpose', [source], name, { perm }), name: `${name}/transpose` });
    };
    for (const step of graph.node) emit(step);
    for (const { name } of graph.output) restore(name ?? '');
    graph.node = nodes;
    for (const constant of turned.values()) graph.initializer.push(constant);
    dropUnusedInitializers(model);
    return `${String(before)} transposes, ${String(count(nodes))} left`;
  },
};

const permutationOf = (step: Node): string | null =>
  step.opType === 'Transpose' ? integersOf(step, 'perm').join() : null;

const count = (nodes: readonly Node[]): number => nodes.filter((step) => step.opType === 'Transpose').length;
