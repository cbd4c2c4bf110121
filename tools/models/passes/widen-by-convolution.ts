import {
  dimsOf,
  dropUnusedInitializers,
  floatTensor,
  graphOf,
  initializersByName,
  int64sOf,
  node,
  type Node,
} from '../graph.js';
import { type Pass } from './pass.js';

/**
 * Channels of zeros appended by Pad become a 1 × 1 convolution with the identity, which gives the very same numbers: it
 * stays in the vectorised layout, where Pad needs two conversions, and takes the addition after it into itself.
 */
export const widenByConvolution: Pass = {
  name: 'widen-by-convolution',
  apply(model) {
    const graph = graphOf(model);
    const initializers = initializersByName(model);
    const channels = new Map<string, number>();
    let count = 0;
    graph.node = graph.node.map((step): Node => {
      const [x = '', second = ''] = step.input ?? [];
      const [output = ''] = step.output ?? [];
      const from = channels.get(x);
      const tensor = initializers.get(second);
      if (step.opType === 'Conv' && tensor) channels.set(output, dimsOf(tensor)[0] ?? 0);
      else if (KEEPS_CHANNELS.has(step.opType ?? '') && from !== undefined) channels.set(output, from);
      if (step.opType !== 'Pad' || !tensor || from === undefined) return step;
      const pads = int64sOf(tensor);
      const added = pads[5] ?? 0;
      if (step.input?.[2] || step.attribute?.length || pads.some((pad, i) => i !== 5 && pad !== 0)) return step;
      const to = from + added;
      channels.set(output, to);
      count++;
      const identity = Float32Array.from({ length: to * from }, (_, i) => (i % from === Math.floor(i / from) ? 1 : 0));
      graph.initializer.push(floatTensor(`${output}/identity`, [to, from, 1, 1], identity));
      return node('Conv', [x, `${output}/identity`], output, { kernel_shape: [1, 1], strides: [1, 1], group: 1 });
    });
    dropUnusedInitializers(model);
    return `${String(count)} Pad replaced`;
  },
};

const KEEPS_CHANNELS = new Set(['Relu', 'PRelu', 'Add', 'MaxPool']);
