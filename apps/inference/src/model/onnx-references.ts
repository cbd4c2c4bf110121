/**
 * Whether a model keeps tensors in other files (`TensorProto.external_data`), which onnxruntime would read from
 * wherever the process stands. Walks the protobuf wire format along the messages that can hold tensors, see onnx.proto:
 * field numbers are part of that format and do not change. Bytes that are no protobuf count as referring.
 */
export function refersToOtherFiles(model: Uint8Array): boolean {
  try {
    return walk(model, 0, model.length, MODEL);
  } catch (error) {
    if (error instanceof RangeError) return true;
    throw error;
  }
}

/** A message type: which fields hold a message that matters, and which must not be there at all. */
interface Message {
  inside: () => Record<number, Message>;
  forbidden?: (field: number, varint: bigint | null) => boolean;
}

const TENSOR: Message = {
  inside: () => ({}),
  // external_data = 13; data_location = 14, where 1 means external.
  forbidden: (field, varint) => field === 13 || (field === 14 && varint !== 0n),
};
const SPARSE: Message = { inside: () => ({ 1: TENSOR, 2: TENSOR }) };
const ATTRIBUTE: Message = {
  inside: () => ({ 5: TENSOR, 6: GRAPH, 10: TENSOR, 11: GRAPH, 22: SPARSE, 23: SPARSE }),
};
const NODE: Message = { inside: () => ({ 5: ATTRIBUTE }) };
const GRAPH: Message = { inside: () => ({ 1: NODE, 5: TENSOR, 15: SPARSE }) };
const FUNCTION: Message = { inside: () => ({ 7: NODE, 11: ATTRIBUTE }) };
const TRAINING: Message = { inside: () => ({ 1: GRAPH, 2: GRAPH }) };
const MODEL: Message = { inside: () => ({ 7: GRAPH, 20: TRAINING, 25: FUNCTION }) };

function walk(bytes: Uint8Array, from: number, to: number, message: Message): boolean {
  const inside = message.inside();
  let at = from;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined || at > to) throw new RangeError('truncated');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError('varint');
  };
  while (at < to) {
    const key = varint();
    const field = Number(key >> 3n);
    let value: bigint | null = null;
    let start = at;
    switch (Number(key & 7n)) {
      case 0:
        value = varint();
        break;
      case 1:
        at += 8;
        break;
      case 2: {
        const length = Number(varint());
        start = at;
        at += length;
        break;
      }
      case 5:
        at += 4;
        break;
      default:
        throw new RangeError('wire type');
    }
    if (at > to) throw new RangeError('truncated');
    if (message.forbidden?.(field, value)) return true;
    const nested = inside[field];
    if (nested && value === null && walk(bytes, start, at, nested)) return true;
  }
  return false;
}
