import { floatsOf, graphOf, initializersByName, node } from '../graph.js';
import { appendSoftmax } from './append-softmax.js';
import { decomposePrelu } from './decompose-prelu.js';
import { flushDenormals } from './flush-denormals.js';
import { nameTensors } from './name-tensors.js';
import { runModel, smallModel, wave } from './run-model.js';

const SHAPE = [1, 3, 4, 5];
const INPUT = wave(60);

/** A PRelu with a slope below zero, one within 0..1, and one above 1 as the recogniser has it. */
const prelu = () => smallModel(SHAPE, [node('PRelu', ['input', 'slope'], 'output')], { slope: [-0.3, 0.25, 1.232] });

describe('a rewrite never changes what a model answers', () => {
  it('PRelu as plain arithmetic, also with slopes below 0 and above 1', async () => {
    const before = await runModel(prelu(), SHAPE, INPUT);
    const model = prelu();
    decomposePrelu.apply(model);
    expect(graphOf(model).node.map((step) => step.opType)).toEqual(['Relu', 'Mul', 'Mul', 'Add']);
    const after = await runModel(model, SHAPE, INPUT);
    expect(largestDifference(before['output']?.data, after['output']?.data)).toBeLessThan(1e-6);
  });

  it('two PRelus that share their slopes', async () => {
    const nodes = () => [node('PRelu', ['input', 'slope'], 'middle'), node('PRelu', ['middle', 'slope'], 'output')];
    const model = smallModel(SHAPE, nodes(), { slope: [0.1, 0.2, 0.3] });
    const before = await runModel(model, SHAPE, INPUT);
    decomposePrelu.apply(model);
    const after = await runModel(model, SHAPE, INPUT);
    expect(largestDifference(before['output']?.data, after['output']?.data)).toBeLessThan(1e-6);
  });

  it('vanishing weights set to zero, small ones kept', async () => {
    const scale = [1e-39, -4e-33, 1e-29];
    const make = () => smallModel(SHAPE, [node('Mul', ['input', 'scale'], 'output')], { scale });
    const model = make();
    expect(flushDenormals.apply(model)).toBe('2 weights set to zero');
    const [first, second, third] = floatsOf(initializersByName(model).get('scale') ?? {});
    expect([first, second]).toEqual([0, 0]);
    expect(third).toBeCloseTo(1e-29, 35);
    const before = await runModel(make(), SHAPE, INPUT);
    const after = await runModel(model, SHAPE, INPUT);
    expect(largestDifference(before['output']?.data, after['output']?.data)).toBeLessThan(1e-30);
  });
});

describe('a model speaks our names', () => {
  it('renames its input and output and drops weights listed as inputs', async () => {
    const model = prelu();
    graphOf(model).input.push({ name: 'slope' });
    nameTensors({ name: 'picture', shape: SHAPE }, { name: 'answer', shape: SHAPE }).apply(model);
    expect(graphOf(model).input.map((info) => info.name)).toEqual(['picture']);
    const renamed = await runModel(model, SHAPE, INPUT);
    const original = await runModel(prelu(), SHAPE, INPUT);
    expect(Array.from(renamed['answer']?.data ?? [])).toEqual(Array.from(original['output']?.data ?? []));
  });

  it('refuses a graph with two inputs', () => {
    const model = prelu();
    graphOf(model).input.push({ name: 'another' });
    const rename = nameTensors({ name: 'picture', shape: SHAPE }, { name: 'answer', shape: SHAPE });
    expect(() => rename.apply(model)).toThrow('one input');
  });

  it('ends a classifier in probabilities', async () => {
    const shape = [1, 3];
    const model = smallModel(shape, [node('Identity', ['input'], 'output')], {});
    appendSoftmax.apply(model);
    const { output } = await runModel(model, shape, Float32Array.of(0, 1, 2));
    const exponentials = [1, Math.E, Math.E ** 2];
    const sum = exponentials.reduce((a, b) => a + b);
    exponentials.forEach((value, i) => expect(output?.data[i]).toBeCloseTo(value / sum, 6));
  });
});

function largestDifference(a?: Float32Array, b?: Float32Array): number {
  if (!a?.length || a.length !== b?.length) throw new Error('nothing to compare');
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - (b[i] ?? Number.NaN))), 0);
}
