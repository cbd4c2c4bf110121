import {
  dimsOf,
  floatsOf,
  floatTensor,
  graphOf,
  initializersByName,
  integersOf,
  type Model,
  setFloats,
  textOf,
} from '../graph.js';
import { type Normalisation, type Pass } from './pass.js';

/**
 * Moves `(pixel − mean) × scale` into the first convolution, so that the model takes pixels 0..255 as they are. Exact
 * where that convolution does not pad, and also where it does if the mean is 0: its padding is 0 before and after.
 * Otherwise the padding would have to be the mean, which no bias can make up for.
 */
export function foldNormalisation(trained: Normalisation): Pass {
  return {
    name: 'fold-normalisation',
    folds: trained,
    apply(model) {
      const why = whyNotFolded(model, trained);
      if (why !== null) throw new Error(`the normalisation cannot be folded: ${why}`);
      const graph = graphOf(model);
      const initializers = initializersByName(model);
      const step = firstConvolution(model);
      const [x = '', weightName = '', biasName = ''] = step?.input ?? [];
      const weight = initializers.get(weightName);
      if (!step || !weight) throw new Error('the first convolution has no weights');
      const [outputs = 0, inputs = 1, ...kernel] = dimsOf(weight);
      const size = kernel.reduce((product, side) => product * side, 1);
      const known = initializers.get(biasName);
      const bias = Float64Array.from(known ? floatsOf(known) : new Float32Array(outputs));
      const weights = floatsOf(weight).map((value, at) => {
        const channel = Math.floor(at / size) % inputs;
        const output = Math.floor(at / size / inputs);
        bias[output] = (bias[output] ?? 0) - value * trained.scale * (trained.mean[channel] ?? 0);
        return value * trained.scale;
      });
      setFloats(weight, weights);
      if (known) setFloats(known, Float32Array.from(bias));
      else if (bias.some((b) => b !== 0)) {
        graph.initializer.push(floatTensor(`${weightName}/bias`, [outputs], bias));
        step.input = [x, weightName, `${weightName}/bias`];
      }
      return `mean ${trained.mean.join(', ')} and scale ${trained.scale.toPrecision(4)} moved into the weights`;
    },
  };
}

/** Null where folding is exact. */
export function whyNotFolded(model: Model, { mean, scale }: Normalisation): string | null {
  if (scale === 1 && mean.every((m) => m === 0)) return 'the pixels are taken as they are';
  const step = firstConvolution(model);
  if (!step) return 'the input is not read by one convolution';
  const padded =
    integersOf(step, 'pads').some((pad) => pad > 0) || textOf(step, 'auto_pad')?.startsWith('SAME') === true;
  return padded && mean.some((m) => m !== 0)
    ? 'the first convolution pads with zeros, which are the mean and would become pixels of value 0'
    : null;
}

function firstConvolution(model: Model) {
  const graph = graphOf(model);
  const [input] = graph.input;
  const readers = graph.node.filter((step) => step.input?.includes(input?.name ?? ''));
  const [only] = readers;
  return readers.length === 1 && only?.opType === 'Conv' ? only : null;
}
