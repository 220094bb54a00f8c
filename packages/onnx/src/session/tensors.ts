import { OnnxError } from "../base/errors.js";
import type { HostTensor } from "../base/host-tensor.js";
import type { Model } from "../graph/ir.js";
import { encodeModel } from "../graph/serde/write.js";
import type { ModelFiles } from "./files.js";
import type { Ort, OrtSession, OrtSessionOptions, OrtTensor } from "./ort.js";

/** Tensors as onnxruntime takes them; its own go through as they are. */
export function toOrt(ort: Ort, feeds: Readonly<Record<string, HostTensor>>): Record<string, OrtTensor> {
  const Tensor = ort.Tensor as new (type: string, data: unknown, dims: readonly number[]) => OrtTensor;
  return Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => [
      name,
      tensor instanceof Tensor ? tensor : new Tensor(tensor.type, tensor.data, tensor.dims),
    ]),
  );
}

/**
 * A derived graph as a file of a few hundred KB, whose weights stay in the files of the model, with the types of its values:
 * from these onnxruntime sees which buffers can be used again, of which it otherwise compares each with every other.
 */
export function encodeDerived(model: Model, { self }: ModelFiles): Uint8Array {
  return encodeModel(model, { self, types: true });
}

/**
 * A session on a derived graph, which finds its weights in the files of the model.
 * @throws OnnxError `onnxruntime` for a graph that it does not take
 */
export async function createSession(
  ort: Ort,
  bytes: Uint8Array,
  files: ModelFiles,
  options: OrtSessionOptions,
): Promise<OrtSession> {
  try {
    return await ort.InferenceSession.create(bytes, mergeOptions(files.options, options));
  } catch (cause) {
    throw refused("session", cause, "Check sessionOptions, and that this onnxruntime runs the model itself");
  }
}

/** @throws OnnxError `onnxruntime` for feeds that it finds no way through the graph for */
export async function runSession(
  session: OrtSession,
  feeds: Readonly<Record<string, OrtTensor>>,
  outputs?: readonly string[],
): Promise<Readonly<Record<string, OrtTensor>>> {
  try {
    return await (outputs === undefined ? session.run(feeds) : session.run(feeds, outputs));
  } catch (cause) {
    throw refused("run", cause, "Check that feeds, labels and weights are of one size");
  }
}

function refused(where: string, cause: unknown, remedy: string): OnnxError {
  const problem = cause instanceof Error ? cause.message : String(cause);
  return new OnnxError("onnxruntime", where, problem.slice(0, 500), remedy, { cause });
}

/** Options of a caller over others, objects in them merged. */
export function mergeOptions(base: OrtSessionOptions, over: OrtSessionOptions): OrtSessionOptions {
  const merged: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(over)) {
    const known = merged[name];
    merged[name] = isPlain(known) && isPlain(value) ? mergeOptions(known, value) : value;
  }
  return merged;
}

function isPlain(value: unknown): value is OrtSessionOptions {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
