import type { Store, UserKey } from "@microlora/store";

/**
 * All that is known of a user, as NDJSON: the state, if it is asked for, and each event with what was received. Vectors are base64 of what
 * replay takes.
 */
export async function* exportLines(
  store: Store,
  key: UserKey,
  state: { readonly version: number; readonly bytes: Uint8Array } | null,
): AsyncGenerator<string> {
  if (state !== null) {
    yield line({ user: key.user, version: state.version, state: base64(state.bytes) });
  }
  for await (const { seq, id, time, kind, kernels, version, payload, source } of store.export(key)) {
    const received = new Date(time).toISOString();
    yield line({ seq, id, received, kind, kernels, version, event: sourceOf(source), payload: base64(payload) });
  }
}

function sourceOf(source: Uint8Array): unknown {
  const text = new TextDecoder().decode(source);
  return text.startsWith("{") ? JSON.parse(text) : text;
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
const line = (value: object) => `${JSON.stringify(value)}\n`;
