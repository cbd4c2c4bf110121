import { floatsOf, graphOf, isFloat, setFloats } from '../graph.js';
import { type Pass } from './pass.js';

/**
 * Below this a weight cannot move a float32 sum of ordinary activations, but its products are denormal numbers, which
 * some cores compute fifty times slower than others. The smallest normal float32 is 1.18e-38; the room above it is
 * there so that products with activations down to 1e-8 stay normal too.
 */
const FLUSH_BELOW = 1e-30;

/** Sets vanishing weights to zero: on some cores the recogniser then takes a quarter of the time. */
export const flushDenormals: Pass = {
  name: 'flush-denormals',
  apply(model) {
    let flushed = 0;
    for (const tensor of graphOf(model).initializer) {
      if (!isFloat(tensor)) continue;
      const values = floatsOf(tensor);
      let changed = false;
      values.forEach((value, index) => {
        if (value === 0 || Math.abs(value) >= FLUSH_BELOW) return;
        values[index] = 0;
        flushed++;
        changed = true;
      });
      if (changed) setFloats(tensor, values);
    }
    return `${String(flushed)} weights set to zero`;
  },
};
