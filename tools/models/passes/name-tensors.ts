import { graphOf, valueInfo } from '../graph.js';
import { type Pass } from './pass.js';

/**
 * Gives a graph's single input and single output our names and fixed shapes, and drops what old exporters list beside
 * them: weights repeated as inputs, which would allow a caller to replace them and keep the runtime from folding them.
 */
export function nameTensors(
  input: { name: string; shape: readonly number[] },
  output: { name: string; shape: readonly number[] },
): Pass {
  return {
    name: 'name-tensors',
    names: true,
    apply(model) {
      const graph = graphOf(model);
      const weights = new Set(graph.initializer.map((tensor) => tensor.name));
      const [only, second] = graph.input.filter((info) => !weights.has(info.name));
      const [result, secondResult] = graph.output;
      if (!only || second || !result || secondResult) throw new Error('expected a graph with one input and one output');
      const renamed = new Map([
        [only.name ?? '', input.name],
        [result.name ?? '', output.name],
      ]);
      for (const step of graph.node) {
        step.input = (step.input ?? []).map((name) => renamed.get(name) ?? name);
        step.output = (step.output ?? []).map((name) => renamed.get(name) ?? name);
      }
      graph.input = [valueInfo(input.name, input.shape)];
      graph.output = [valueInfo(output.name, output.shape)];
      return `${input.name} → ${output.name}`;
    },
  };
}
