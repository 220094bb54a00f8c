import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { ServiceError } from "../base/errors.js";

/**
 * Feedback in CloudEvents (https://github.com/cloudevents/spec, 1.0.2): structured, batched, or in binary mode, with attributes in headers.
 * Source and id together are the identity of an event, so the id of the feedback is a hash of both; `data` is the rest of it.
 */
export function isCloudEvent(headers: IncomingHttpHeaders): boolean {
  return headers["ce-specversion"] !== undefined || /^application\/cloudevents/i.test(headers["content-type"] ?? "");
}

/** The feedback in a request of CloudEvents; each still to be checked. @throws ServiceError `invalid-body` */
export function feedbackOfCloudEvents(headers: IncomingHttpHeaders, body: unknown): unknown[] {
  if (headers["ce-specversion"] === undefined) return (Array.isArray(body) ? body : [body]).map(feedbackOf);
  const attribute = (name: string) => headers[`ce-${name}`];
  const [specversion, id, source, type, time] = ["specversion", "id", "source", "type", "time"].map(attribute);
  return [feedbackOf({ specversion, id, source, type, ...(time !== undefined && { time }), data: body })];
}

function feedbackOf(event: unknown): unknown {
  const { specversion, id, source, type, time, data } = (event ?? {}) as Readonly<Record<string, unknown>>;
  if (specversion !== "1.0") refuse("specversion", "is not 1.0");
  for (const [name, value] of Object.entries({ id, source, type })) {
    if (typeof value !== "string" || value === "" || value.length > 2048) refuse(name, "is missing or too long");
  }
  if (typeof data !== "object" || data === null || Array.isArray(data)) refuse("data", "is not an object");
  if ("id" in data) refuse("data.id", "has no place beside the id of the event");
  return { ...data, id: identityOf(String(source), String(id)), type, ...(time !== undefined && { time }) };
}

function identityOf(source: string, id: string): string {
  const hash = createHash("sha256")
    .update(JSON.stringify([source, id]))
    .digest("hex");
  return `cloudevent ${hash}`;
}

function refuse(where: string, problem: string): never {
  throw new ServiceError("invalid-body", where, problem, "Send a CloudEvent of version 1.0 with feedback as its data");
}
