import { onnx } from 'onnx-proto';

export type Model = onnx.ModelProto;
export type Node = onnx.INodeProto;
export type Tensor = onnx.ITensorProto;
export type AttributeValue = number | string | readonly number[];

/** ONNX operator set that converted graphs declare; graphs taken as they are keep theirs. */
const OPSET = 13;
const IR_VERSION = 8;

export const decodeModel = (bytes: Uint8Array): Model => onnx.ModelProto.decode(bytes);
export const encodeModel = (model: Model): Uint8Array => onnx.ModelProto.encode(model).finish();

/** The graph of a model with its lists present, which protobuf leaves optional. */
export function graphOf(model: Model): {
  node: Node[];
  initializer: Tensor[];
  input: onnx.IValueInfoProto[];
  output: onnx.IValueInfoProto[];
} {
  const graph = model.graph;
  if (!graph) throw new Error('the model has no graph');
  graph.node ??= [];
  graph.initializer ??= [];
  graph.input ??= [];
  graph.output ??= [];
  return graph as ReturnType<typeof graphOf>;
}

export function createModel(parts: {
  nodes: Node[];
  initializers: Tensor[];
  inputs: onnx.IValueInfoProto[];
  outputs: onnx.IValueInfoProto[];
}): Model {
  return onnx.ModelProto.create({
    irVersion: IR_VERSION,
    opsetImport: [{ domain: '', version: OPSET }],
    producerName: 'countersign models:build',
    graph: {
      name: 'graph',
      node: parts.nodes,
      initializer: parts.initializers,
      input: parts.inputs,
      output: parts.outputs,
    },
  });
}

export function valueInfo(name: string, shape: readonly number[]): onnx.IValueInfoProto {
  const dim = shape.map((size) => ({ dimValue: size }));
  return { name, type: { tensorType: { elemType: onnx.TensorProto.DataType.FLOAT, shape: { dim } } } };
}

export function shapeOf(info: onnx.IValueInfoProto): number[] {
  return (info.type?.tensorType?.shape?.dim ?? []).map(({ dimValue }) => Number(dimValue));
}

export function setShape(info: onnx.IValueInfoProto, shape: readonly number[]): void {
  info.type = valueInfo('', shape).type;
}

export function floatTensor(name: string, dims: readonly number[], data: Iterable<number>): Tensor {
  const values = Float32Array.from(data);
  return { name, dims: [...dims], dataType: onnx.TensorProto.DataType.FLOAT, rawData: bytesOf(values) };
}

export function int64Tensor(name: string, data: Iterable<number>): Tensor {
  const values = BigInt64Array.from(Array.from(data, BigInt));
  return { name, dims: [values.length], dataType: onnx.TensorProto.DataType.INT64, rawData: bytesOf(values) };
}

export const isFloat = (tensor: Tensor): boolean => tensor.dataType === onnx.TensorProto.DataType.FLOAT;

export function dimsOf(tensor: Tensor): number[] {
  return (tensor.dims ?? []).map(Number);
}

/** A copy of a float tensor's values, from whichever of the two fields the exporter used. */
export function floatsOf(tensor: Tensor): Float32Array {
  if (!isFloat(tensor)) throw new Error(`${tensor.name ?? '?'} is not a float tensor`);
  if (!tensor.rawData?.length) return Float32Array.from(tensor.floatData ?? []);
  return new Float32Array(Uint8Array.from(tensor.rawData).buffer);
}

export function int64sOf(tensor: Tensor): number[] {
  if (!tensor.rawData?.length) return (tensor.int64Data ?? []).map(Number);
  return Array.from(new BigInt64Array(Uint8Array.from(tensor.rawData).buffer), Number);
}

export function setFloats(tensor: Tensor, values: Float32Array, dims = dimsOf(tensor)): void {
  tensor.rawData = bytesOf(values);
  tensor.floatData = [];
  tensor.dims = dims;
}

export function node(
  opType: string,
  input: readonly string[],
  output: string,
  attributes: Readonly<Record<string, AttributeValue>> = {},
): Node {
  const attribute = Object.entries(attributes).map(([name, value]) => attributeOf(name, value));
  return { opType, input: [...input], output: [output], name: output, attribute };
}

/** An integer attribute, or a list of them; empty when the node has none of this name. */
export function integersOf(step: Node, name: string): number[] {
  const attribute = step.attribute?.find((a) => a.name === name);
  if (!attribute) return [];
  return attribute.type === onnx.AttributeProto.AttributeType.INTS
    ? (attribute.ints ?? []).map(Number)
    : [Number(attribute.i)];
}

export function textOf(step: Node, name: string): string | undefined {
  const bytes = step.attribute?.find((a) => a.name === name)?.s;
  return bytes ? Buffer.from(bytes).toString('utf8') : undefined;
}

export function setAttribute(step: Node, name: string, value: AttributeValue): void {
  step.attribute = [...(step.attribute ?? []).filter((a) => a.name !== name), attributeOf(name, value)];
}

/** After a rewrite: weights that nothing reads any more would stay in the file. */
export function dropUnusedInitializers(model: Model): void {
  const graph = graphOf(model);
  const used = new Set(graph.node.flatMap((step) => step.input ?? []));
  graph.initializer = graph.initializer.filter((tensor) => used.has(tensor.name ?? ''));
}

export function initializersByName(model: Model): Map<string, Tensor> {
  return new Map(graphOf(model).initializer.map((tensor) => [tensor.name ?? '', tensor]));
}

function attributeOf(name: string, value: AttributeValue): onnx.IAttributeProto {
  const { AttributeType } = onnx.AttributeProto;
  if (typeof value === 'string') return { name, type: AttributeType.STRING, s: Buffer.from(value) };
  if (typeof value === 'number') return { name, type: AttributeType.INT, i: value };
  return { name, type: AttributeType.INTS, ints: [...value] };
}

function bytesOf(values: Float32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
