import { checkBase } from "../adapter/base-model.js";
import { refusal, shown } from "../base/errors.js";
import { corrupt, readContainer, VERSION, writeContainer } from "../checkpoint/container.js";
import { array, count, finite, record } from "../checkpoint/fields.js";
import { idHeader, readId } from "./id-codec.js";
import type { DocumentId, EmbedderInfo } from "./vector-index.js";

/** The documents of an index, in the order in which they were added. */
export interface IndexState<Id extends DocumentId, Payload> {
  readonly documents: readonly (readonly [id: Id, vector: Float32Array, payload: Payload | undefined])[];
  readonly dimensions: number;
  readonly baseModel: string | null;
  readonly margin: MeasuredMargin | null;
}

/** A low quantile of the margins of the documents, as it was measured once. */
export interface MeasuredMargin {
  readonly value: number;
  /** Documents that there were. */
  readonly size: number;
  /** Documents added, replaced and removed since then. */
  readonly changes: number;
}

const KIND = "embedding-index";

/** The canonical bytes of an index. @throws MicroLoraError `invalid-argument` for a payload that JSON cannot hold */
export function encodeIndex<Id extends DocumentId, Payload>(state: IndexState<Id, Payload>): Uint8Array {
  return writeContainer(
    headerOf(state),
    state.documents.map(([, vector]) => vector),
  );
}

/** The checked documents that bytes hold. @throws MicroLoraError */
export function decodeIndex<Id extends DocumentId, Payload>(
  bytes: Uint8Array,
  embedder: EmbedderInfo | undefined,
): IndexState<Id, Payload> {
  const { header, body } = readContainer(bytes, KIND);
  const fields = record(header, "header");
  const dimensions = count(fields.dimensions, "dimensions");
  const baseModel = fields.baseModel;
  if (baseModel !== null && typeof baseModel !== "string") corrupt("baseModel", `is ${shown(baseModel)}`);
  const fingerprint = embedder?.fingerprint;
  checkBase(baseModel, fingerprint === undefined ? {} : { baseModel: fingerprint });
  const ids = array(fields.ids, "ids");
  const payloads = array(fields.payloads, "payloads");
  if (payloads.length !== ids.length) corrupt("payloads", `are ${payloads.length}, for ${ids.length} documents`);
  const seen = new Set<unknown>();
  const documents = ids.map((stored, i) => {
    const id = readId(stored, `ids[${i}]`);
    if (seen.has(id)) corrupt(`ids[${i}]`, `is ${shown(id)} a second time`);
    seen.add(id);
    const payload = payloads[i] === null ? undefined : array(payloads[i], `payloads[${i}]`)[0];
    return [id as Id, body.take(dimensions, `document ${i}`), payload as Payload | undefined] as const;
  });
  const margin = body.version > 3 ? readMargin(fields.margin) : null;
  const state = { documents, dimensions, baseModel, margin };
  body.end(headerOf(state, body.version));
  return state;
}

function headerOf<Id extends DocumentId, Payload>(
  { documents, dimensions, baseModel, margin }: IndexState<Id, Payload>,
  version = VERSION,
) {
  return {
    kind: KIND,
    dimensions,
    baseModel,
    ...(version > 3 && { margin: margin && { value: margin.value, size: margin.size, changes: margin.changes } }),
    ids: documents.map(([id]) => idHeader(id)),
    payloads: documents.map(([id, , payload]) => (payload === undefined ? null : [jsonOf(payload, id)])),
  };
}

function readMargin(value: unknown): MeasuredMargin | null {
  if (value === null) return null;
  const fields = record(value, "margin");
  const margin = finite(fields.value, "margin.value");
  if (!(margin >= 0 && margin <= 2)) corrupt("margin.value", `is ${margin}`);
  return { value: margin, size: count(fields.size, "margin.size"), changes: count(fields.changes, "margin.changes") };
}

/** A payload as JSON gives it back. */
function jsonOf(payload: unknown, id: DocumentId): unknown {
  try {
    const json = JSON.stringify(payload);
    if (json !== undefined) return JSON.parse(json);
  } catch {}
  const remedy = "Keep strings, numbers, lists and plain objects as payloads, or leave them out";
  throw refusal("invalid-argument", `payload of ${shown(id)}`, "cannot be written as JSON", remedy);
}
