import {
  dimsOf,
  dropUnusedInitializers,
  floatsOf,
  floatTensor,
  graphOf,
  initializersByName,
  integersOf,
  type Model,
  node,
  type Node,
  setFloats,
  type Tensor,
} from '../graph.js';
import { type Pass } from './pass.js';

/** Below this the factor that the next convolution takes over would magnify rounding errors. */
const FACTOR_MIN = 1 / 64;

/**
 * Replaces PRelu(x, a), for which the runtime has no vectorised kernel, by Relu(x)·(1 − a) + x·a. Where only
 * convolutions read the result, they take over the factor 1 − a, and Relu(x) + x·a/(1 − a) is left: one pass over the
 * values less. Never by Max(x, a·x): that needs a ≤ 1, and the recogniser has a slope of 1.232.
 */
export const decomposePrelu: Pass = {
  name: 'decompose-prelu',
  apply(model) {
    const graph = graphOf(model);
    const initializers = initializersByName(model);
    const rewritten: Node[] = [];
    const constants = new Map<string, Tensor>();
    let replaced = 0;
    let absorbed = 0;
    for (const original of graph.node) {
      const [x = '', slopeName = ''] = original.input ?? [];
      const slope = initializers.get(slopeName);
      if (original.opType !== 'PRelu' || slope === undefined) {
        rewritten.push(original);
        continue;
      }
      replaced++;
      const y = original.output?.[0] ?? '';
      const values = floatsOf(slope);
      const constant = (suffix: string, of: (a: number) => number): string => {
        const name = `${slopeName}/${suffix}`;
        constants.set(name, floatTensor(name, dimsOf(slope), values.map(of)));
        return name;
      };
      rewritten.push(node('Relu', [x], `${y}/relu`));
      if (values.every((a) => Math.abs(1 - a) >= FACTOR_MIN) && absorb(model, y, (a) => 1 - a, values)) {
        absorbed++;
        rewritten.push(
          node('Mul', [x, constant('ratio', (a) => a / (1 - a))], `${y}/linear`),
          node('Add', [`${y}/linear`, `${y}/relu`], y),
        );
        continue;
      }
      rewritten.push(
        node('Mul', [`${y}/relu`, constant('complement', (a) => 1 - a)], `${y}/positive`),
        node('Mul', [x, slopeName], `${y}/linear`),
        node('Add', [`${y}/positive`, `${y}/linear`], y),
      );
    }
    graph.node = rewritten;
    for (const constant of constants.values()) graph.initializer.push(constant);
    dropUnusedInitializers(model);
    return `${String(replaced)} PRelu replaced, ${String(absorbed)} factors absorbed`;
  },
};

/** Multiplies the weights of every convolution that reads `name` by one factor a channel; false if others read it. */
function absorb(model: Model, name: string, factor: (value: number) => number, channels: Float32Array): boolean {
  const graph = graphOf(model);
  const initializers = initializersByName(model);
  const readers = graph.node.filter((step) => step.input?.includes(name));
  const weights = readers.map((step) => {
    const tensor = step.opType === 'Conv' ? initializers.get(step.input?.[1] ?? '') : undefined;
    const own = graph.node.filter((other) => other.input?.includes(tensor?.name ?? '')).length === 1;
    return tensor && own ? { tensor, groups: integersOf(step, 'group')[0] ?? 1 } : null;
  });
  const isOutput = graph.output.some((info) => info.name === name);
  if (isOutput || weights.length === 0 || weights.some((weight) => weight === null)) return false;
  for (const weight of weights) {
    if (!weight) continue;
    const { tensor, groups } = weight;
    const [outputs = 1, inputs = 1, ...kernel] = dimsOf(tensor);
    const size = kernel.reduce((product, side) => product * side, 1);
    const perGroup = outputs / groups;
    const scaled = floatsOf(tensor).map((value, at) => {
      const filter = Math.floor(at / size);
      const channel = Math.floor(Math.floor(filter / inputs) / perGroup) * inputs + (filter % inputs);
      return value * factor(channels[channel] ?? 0);
    });
    setFloats(tensor, scaled);
  }
  return true;
}
