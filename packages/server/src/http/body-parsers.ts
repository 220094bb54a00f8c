import { ServiceError } from "../base/errors.js";
import { parseStrictJson } from "../base/strict-json.js";
import type { App } from "./context.js";

const JSON_TYPES = ["application/json", "application/cloudevents+json", "application/cloudevents-batch+json"];
const LINE_TYPES = ["application/x-ndjson", "application/jsonl"];
const BYTES_TYPE = "application/octet-stream";
const NEWLINE = 0x0a;
const MAX_LINES = 100_000;

/** Takes bodies of the types that routes know, and refuses all others. */
export function addBodyParsers(app: App): void {
  app.removeAllContentTypeParsers();
  // Clients name the type also where they send nothing; a route that needs a body refuses that by its schema.
  app.addContentTypeParser(JSON_TYPES, { parseAs: "buffer" }, async (_: unknown, body: Buffer) =>
    body.length === 0 ? undefined : parseStrictJson(body),
  );
  app.addContentTypeParser(LINE_TYPES, { parseAs: "buffer" }, async (_: unknown, body: Buffer) => parseLines(body));
  app.addContentTypeParser(BYTES_TYPE, { parseAs: "buffer" }, async (_: unknown, body: Buffer) => body);
}

/** JSON, a value on each line that is not empty. @throws ServiceError `invalid-body` */
function parseLines(body: Buffer): unknown[] {
  const values: unknown[] = [];
  for (let from = 0; from < body.length; ) {
    const found = body.indexOf(NEWLINE, from);
    const end = found < 0 ? body.length : found;
    const line = body.subarray(from, end);
    if (line.some((byte) => byte > 0x20)) values.push(parseStrictJson(line, `line ${values.length + 1}`));
    if (values.length > MAX_LINES) {
      throw new ServiceError("too-large", "body", `has more than ${MAX_LINES} lines`, "Send it in parts");
    }
    from = end + 1;
  }
  return values;
}
