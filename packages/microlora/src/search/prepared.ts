import { checkAllFinite, checkFloats, checkObject, checkRange } from "../base/check.js";
import { refusal, shown } from "../base/errors.js";
import { norm } from "../base/unit.js";
import { corrupt, readContainer, writeContainer } from "../checkpoint/container.js";
import { array, checkStored, record } from "../checkpoint/fields.js";
import { checkSignal } from "../learner/codec-check.js";
import type { Signal } from "../learner/feedback/signal.js";
import { idHeader, readId } from "./id-codec.js";
import type { DocumentId } from "./vector-index.js";

/**
 * Feedback, with everything that it will change worked out: `Personalizer.apply` needs no document and no index, so it can be kept, and
 * applied again to the state that it was prepared on. It never ages, since what it means depends on the embedder and the documents of then.
 */
export interface PreparedFeedback {
  /** The query at unit length [dimensions]. */
  readonly query: Float32Array;
  /** dLoss/dy at the transformed query [dimensions], before `weight`. */
  readonly gradient: Float32Array;
  /** Weight of the step, in [-1, 1]. */
  readonly weight: number;
  /** Share of what is general that was let through, in [0, 1]. */
  readonly gate: number;
  /** Share of what was learned for such queries that is forgotten, since it foretold this feedback worse than the base does; in [0, 1]. */
  readonly doubt: number;
  /** In nats; null where only a gradient is known. */
  readonly loss: number | null;
  /** Steps of the weights of chosen items and of the caller's scores. */
  readonly steps: { readonly items: number; readonly scores: number };
  /** Id of the item that counts as chosen once more. */
  readonly chosen: DocumentId | null;
  /** A rating, in [-1.25, 1]. */
  readonly rating: number | null;
  /** Id of the kept request that this was feedback for, and the time of the feedback. */
  readonly request: { readonly id: string; readonly now: number } | null;
  /** What a guard or a replay keeps, where there is one. */
  readonly kept: { readonly base: Float32Array; readonly signal: Signal } | null;
}

/** Refuses what `prepare` did not give. @throws MicroLoraError `invalid-argument`, `invalid-config`, `shape-mismatch`, `out-of-range`, `not-finite` */
export function checkPrepared(prepared: PreparedFeedback, dimensions: number): void {
  checkObject(prepared, "prepared");
  const { query, gradient, weight, gate, doubt, loss, steps, chosen, rating, request, kept } = prepared;
  for (const [where, vector] of [
    ["query", query],
    ["gradient", gradient],
    ...(kept === null ? [] : [["kept.base", Object(kept).base] as const]),
  ] as const) {
    checkFloats(vector, dimensions, `prepared.${where}`);
    checkAllFinite(vector, `prepared.${where}`);
  }
  checkRange(norm(query), 1 - 1e-3, 1 + 1e-3, "length of prepared.query");
  checkRange(weight, -1, 1, "prepared.weight");
  checkRange(gate, 0, 1, "prepared.gate");
  checkRange(doubt, 0, 1, "prepared.doubt");
  if (loss !== null) checkRange(loss, -Number.MAX_VALUE, Number.MAX_VALUE, "prepared.loss");
  checkObject(steps, "prepared.steps");
  for (const name of ["items", "scores"] as const) checkRange(steps[name], -1e6, 1e6, `prepared.steps.${name}`);
  if (rating !== null) checkRange(rating, -1.25, 1, "prepared.rating");
  if (chosen !== null && !["string", "number", "bigint"].includes(typeof chosen)) refuse("chosen", chosen);
  if (request !== null) {
    if (typeof Object(request).id !== "string") refuse("request", request);
    checkRange(request.now, -Number.MAX_VALUE, Number.MAX_VALUE, "prepared.request.now");
  }
  if (kept === null) return;
  checkObject(kept.signal, "prepared.kept.signal");
  for (const item of kept.signal.items) {
    checkFloats(item, dimensions, "prepared.kept.signal");
    checkAllFinite(item, "prepared.kept.signal");
  }
  checkSignal(kept.signal);
}

function refuse(part: string, value: unknown): never {
  throw refusal("invalid-argument", `prepared.${part}`, `is ${shown(value)}`, "Pass what `prepare` gave");
}

const KIND = "prepared-feedback";

/** Prepared feedback as bytes: about 8 bytes a dimension. */
export function encodePrepared(prepared: PreparedFeedback): Uint8Array {
  const { query, gradient, kept } = prepared;
  const items = kept === null ? [] : [kept.base, ...kept.signal.items];
  return writeContainer(headerOf(prepared), [query, gradient, ...items]);
}

function headerOf(prepared: PreparedFeedback): object {
  const { query, weight, gate, doubt, loss, steps, chosen, rating, request, kept } = prepared;
  const { items, ...signal } = kept?.signal ?? { items: [] };
  return {
    kind: KIND,
    dimensions: query.length,
    weight,
    gate,
    doubt,
    loss,
    steps: [steps.items, steps.scores],
    chosen: chosen === null ? null : [idHeader(chosen)],
    rating,
    request: request && [request.id, request.now],
    kept: kept && { items: items.length, signal },
  };
}

/** What `encodePrepared` wrote. @throws MicroLoraError */
export function decodePrepared(bytes: Uint8Array): PreparedFeedback {
  const { header, body } = readContainer(bytes, KIND);
  const fields = record(header, "header");
  const { dimensions, weight, gate, doubt, loss, rating } = fields as { readonly [K in string]: number };
  const vector = (where: string) => body.take(dimensions!, where);
  const [items, scores] = array(fields.steps, "steps") as readonly number[];
  const query = vector("query");
  const gradient = vector("gradient");
  const request = fields.request === null ? null : array(fields.request, "request");
  const prepared = {
    query,
    gradient,
    weight,
    gate,
    doubt,
    loss,
    steps: { items, scores },
    chosen: fields.chosen === null ? null : readId(array(fields.chosen, "chosen")[0], "chosen"),
    rating,
    request: request && { id: request[0], now: request[1] },
    kept: fields.kept === null ? null : readKept(record(fields.kept, "kept"), vector),
  } as unknown as PreparedFeedback;
  checkStored(() => checkPrepared(prepared, query.length));
  body.end(headerOf(prepared));
  return prepared;
}

function readKept(
  { items, signal }: Readonly<Record<string, unknown>>,
  vector: (where: string) => Float32Array,
): PreparedFeedback["kept"] {
  if (!Number.isSafeInteger(items) || (items as number) > 2 ** 20) corrupt("kept.items", `is ${shown(items)}`);
  const base = vector("kept.base");
  const vectors = Array.from({ length: items as number }, () => vector("kept.items"));
  return { base, signal: { ...record(signal, "kept.signal"), items: vectors } as unknown as Signal };
}
