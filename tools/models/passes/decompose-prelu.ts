import { dimsOf, floatTensor, floatsOf, graphOf, initializersByName, node, type Node, type Tensor } from '../graph.js';
import { type Pass } from './pass.js';

/**
 * Replaces PRelu(x, a) by Relu(x)·(1 − a) + x·a, which the runtime's vectorised kernels compute about twice as fast.
 * Never by Max(x, a·x): that needs a ≤ 1, and the recogniser has a slope of 1.232.
 */
export const decomposePrelu: Pass = {
  name: 'decompose-prelu',
  apply(model) {
    const graph = graphOf(model);
    const initializers = initializersByName(model);
    const rewritten: Node[] = [];
    const complements = new Map<string, Tensor>();
    let count = 0;
    for (const original of graph.node) {
      const [x = '', slopeName = ''] = original.input ?? [];
      const slope = initializers.get(slopeName);
      if (original.opType !== 'PRelu' || slope === undefined) {
        rewritten.push(original);
        continue;
      }
      const y = original.output?.[0] ?? '';
      const complement = `${slopeName}/complement`;
      const values = floatsOf(slope).map((a) => 1 - a);
      complements.set(complement, floatTensor(complement, dimsOf(slope), values));
      rewritten.push(
        node('Relu', [x], `${y}/relu`),
        node('Mul', [`${y}/relu`, complement], `${y}/positive`),
        node('Mul', [x, slopeName], `${y}/linear`),
        node('Add', [`${y}/positive`, `${y}/linear`], y),
      );
      count++;
    }
    graph.node = rewritten;
    graph.initializer.push(...complements.values());
    return `${String(count)} PRelu replaced`;
  },
};
