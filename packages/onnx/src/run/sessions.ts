import { OnnxError, type OnnxErrorCode } from "../base/errors.js";
import type { HostTensor } from "../base/host-tensor.js";
import type { Model } from "../graph/ir.js";
import { encodeModel } from "../graph/serde/write.js";
import type { ModelFiles } from "./files.js";
import type { Ort, OrtSession, OrtSessionOptions, OrtTensor } from "./ort.js";

/** Tensors as onnxruntime takes them; its own go through as they are. @throws OnnxError `unsupported-type` */
export function toOrt(ort: Ort, feeds: Readonly<Record<string, HostTensor>>): Record<string, OrtTensor> {
  const Tensor = ort.Tensor as new (type: string, data: unknown, dims: readonly number[]) => OrtTensor;
  return Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => [
      name,
      tensor instanceof Tensor ? tensor : made(name, () => new Tensor(tensor.type, tensor.data, tensor.dims)),
    ]),
  );
}

function made(name: string, make: () => OrtTensor): OrtTensor {
  try {
    return make();
  } catch (cause) {
    throw new OnnxError(
      "unsupported-type",
      name,
      messageOf(cause),
      "Pass { type, dims, data } as ort.Tensor takes them",
      {
        cause,
      },
    );
  }
}

/**
 * Writes a derived graph as a file of a few hundred KB. Weights stay in the files of the model. The types of values are written
 * too: onnxruntime then sees which buffers it can use again without comparing each with every other.
 */
export function encodeDerived(model: Model, { self }: ModelFiles): Uint8Array {
  return encodeModel(model, { self, types: true });
}

/**
 * Makes a session of a derived graph, which finds its weights in the files of the model.
 * @throws OnnxError `onnxruntime` for a graph that it does not take, `out-of-memory`
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

/** @throws OnnxError `onnxruntime`, `out-of-range`, `unsupported-type`, `out-of-memory`, as onnxruntime's message tells */
export async function runSession(
  session: OrtSession,
  feeds: Readonly<Record<string, OrtTensor>>,
  outputs?: readonly string[],
): Promise<Readonly<Record<string, OrtTensor>>> {
  try {
    return await (outputs === undefined ? session.run(feeds) : session.run(feeds, outputs));
  } catch (cause) {
    throw refused(
      "run",
      cause,
      "Check that onnxruntime runs the model itself on these feeds; its message names the node",
    );
  }
}

/** What onnxruntime's messages mean, and what can be done about it. */
const CAUSES: readonly (readonly [message: RegExp, code: OnnxErrorCode, remedy: string])[] = [
  [
    /out of data bounds|indices? .*(out of (bounds|range)|must be within)|invalid index/i,
    "out-of-range",
    "Feed indices that the model's tables have: tokens of its own vocabulary, and no more positions than it was made for",
  ],
  [
    /not enough space: expected \d+, got 0/i,
    "unsupported-type",
    "This onnxruntime-node takes no float16 inputs on this version of Node: use Node 22 or onnxruntime-web, or open the float32 file of the model",
  ],
  [
    /bad_alloc|out of memory|failed to allocate|memory access out of bounds|allocation failed/i,
    "out-of-memory",
    "Pass fewer rows or shorter ones, or close models that are not needed",
  ],
  [
    /shape mismatch|dimension mismatch|cannot broadcast|incompatible dimensions|Got invalid dimensions/i,
    "shape-mismatch",
    "Check that feeds, labels and weights are of one size, and no longer than the model was made for",
  ],
];

function refused(where: string, cause: unknown, remedy: string): OnnxError {
  const problem = messageOf(cause);
  const known = CAUSES.find(([message]) => message.test(problem));
  return new OnnxError(known?.[1] ?? "onnxruntime", where, problem.slice(0, 500), known?.[2] ?? remedy, { cause });
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
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
