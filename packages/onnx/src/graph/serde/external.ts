import { OnnxError } from "../../base/errors.js";
import type { Model } from "../ir.js";
import { mapTensors } from "../tensors.js";
import type { ByteSource } from "./source.js";

/** Tensors of at most this many bytes are brought into memory, for passes and shape inference look at them. */
const SMALL = 1024;

/**
 * The model, with every reference into a data file checked against that file, and small tensors brought into memory.
 *
 * @param open the data file at a location, undefined if there is none
 * @param inMemoryTo bytes up to which a tensor is brought into memory
 * @throws OnnxError `external-data` for a file that is missing or too short
 */
export function checkExternalData(
  model: Model,
  open: (location: string) => ByteSource | undefined,
  inMemoryTo = SMALL,
): Model {
  const sources = new Map<string, ByteSource | undefined>();
  return mapTensors(model, (tensor, where) => {
    const { data } = tensor;
    if (data.kind !== "external") return tensor;
    if (!sources.has(data.location)) sources.set(data.location, open(data.location));
    const source = sources.get(data.location);
    if (source === undefined)
      throw missing(where, `there is no file ${JSON.stringify(data.location)} beside the model`);
    const end = data.offset + data.length;
    if (end > source.length) {
      throw missing(where, `${JSON.stringify(data.location)} should have ${end} bytes, and has ${source.length}`);
    }
    if (data.length > inMemoryTo) return tensor;
    return { ...tensor, data: { kind: "bytes", bytes: source.read(data.offset, data.length) } };
  });
}

function missing(where: string, problem: string): OnnxError {
  return new OnnxError("external-data", where, problem, "Keep the model's data files beside it, whole and unchanged");
}
