/** Bytes of an ONNX model with one projection, [batch, 8] to [batch, 4]: the fields of onnx.proto, written one by one. */
export function linearModel() {
  const weights = Buffer.from(Float32Array.from({ length: 32 }, (_, i) => Math.sin(i)).buffer);
  const weight = message([1, 8], [1, 4], [2, 1], [8, "encoder.layer.0.proj.weight"], [9, weights]);
  const node = message(
    [1, "x"],
    [1, "encoder.layer.0.proj.weight"],
    [2, "y"],
    [3, "/encoder/layer.0/proj/MatMul"],
    [4, "MatMul"],
  );
  const value = (name, width) => {
    const shape = message([1, message([2, "batch"])], [1, message([1, width])]);
    return message([1, name], [2, message([1, message([1, 1], [2, shape])])]);
  };
  const graph = message([1, node], [2, "linear"], [5, weight], [11, value("x", 8)], [12, value("y", 4)]);
  return message([1, 8], [7, graph], [8, message([2, 17])]);
}

/** A protobuf message of fields: numbers as varints, texts and bytes with their length. */
function message(...fields) {
  return Buffer.concat(
    fields.map(([field, value]) => {
      if (typeof value === "number") return Buffer.from([...varint(field << 3), ...varint(value)]);
      const bytes = Buffer.from(value);
      return Buffer.concat([Buffer.from([...varint((field << 3) | 2), ...varint(bytes.length)]), bytes]);
    }),
  );
}

function varint(value) {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
}
