import { graphOf, node } from '../graph.js';
import { type Pass } from './pass.js';

/** Ends a classifier in probabilities, so that every user of the model reads the same scale. */
export const appendSoftmax: Pass = {
  name: 'append-softmax',
  names: true,
  apply(model) {
    const graph = graphOf(model);
    const output = graph.output[0]?.name;
    if (!output) throw new Error('the graph has no output');
    const logits = `${output}/logits`;
    for (const step of graph.node) {
      step.input = (step.input ?? []).map((name) => (name === output ? logits : name));
      step.output = (step.output ?? []).map((name) => (name === output ? logits : name));
    }
    graph.node.push({ ...node('Softmax', [logits], output, { axis: 1 }), name: `${output}/softmax` });
    return 'probabilities instead of logits';
  },
};
