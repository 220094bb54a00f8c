import { Type as T } from "typebox";
import { Compile } from "typebox/compile";
import { ServiceError } from "../base/errors.js";
import type { App, Context } from "../http/context.js";
import { countFeedback } from "../http/metrics.js";
import { sayVersion, userOf } from "../http/person.js";
import { toldOf } from "../http/render-error.js";
import { type FeedbackEvent, FeedbackEventSchema } from "../state/feedback-event.js";
import { type FeedbackResult, learnAll } from "../state/learn.js";
import { feedbackOfCloudEvents, isCloudEvent } from "./cloud-events.js";

const MAX_EVENTS = 1000;
const checkEvent = Compile(FeedbackEventSchema);

/** One event, `{ events: […] }`, NDJSON, or CloudEvents. The events are checked one by one, so that one of them cannot fail the others. */
const Body = T.Union([
  FeedbackEventSchema,
  T.Object({ events: T.Array(T.Unknown(), { minItems: 1, maxItems: MAX_EVENTS }) }, { additionalProperties: false }),
  T.Array(T.Unknown(), { minItems: 1, maxItems: MAX_EVENTS }),
]);

/** Feedback, answered once it is on disk. */
export function addFeedback(app: App, context: Context): void {
  app.post(
    "/v1/feedback",
    {
      config: { scope: "feedback" },
      schema: { body: Body, tags: ["feedback"] },
      // The body of a CloudEvent has another schema; each event is checked below.
      validatorCompiler: () => () => true,
    },
    async (request, reply) => {
      const { headers, caller } = request;
      const { events, isBatch } = eventsOf(headers, request.body);
      const read = events.map((event, i) => readEvent(event, isBatch ? `events.${i}` : "body"));
      const whole = read.filter((each): each is FeedbackEvent => !(each instanceof ServiceError));
      const learned = await learnAll(context.home, caller.tenant, whole, userOf(request));
      const all = [...learned];
      const results = read.map((each) =>
        each instanceof ServiceError ? { id: "", status: "refused" as const, error: each } : all.shift()!,
      );
      countFeedback(context.metrics, results);
      const [first] = results;
      if (isBatch) return { results: results.map(toldResult) };
      if (first!.status === "refused") throw first!.error;
      sayVersion(reply, first!.version);
      return { results: [first] };
    },
  );
}

function eventsOf(
  headers: Parameters<typeof isCloudEvent>[0],
  body: unknown,
): { readonly events: readonly unknown[]; readonly isBatch: boolean } {
  if (isCloudEvent(headers)) {
    const isBatch = Array.isArray(body);
    return { events: checkedCount(feedbackOfCloudEvents(headers, body)), isBatch };
  }
  if (Array.isArray(body)) return { events: checkedCount(body), isBatch: true };
  if (typeof body === "object" && body !== null && "events" in body) {
    if (Array.isArray(body.events) && Object.keys(body).length === 1) {
      return { events: checkedCount(body.events), isBatch: true };
    }
    throw new ServiceError("invalid-body", "events", "is not a list, or not alone", "Send { events: [...] }");
  }
  return { events: [body], isBatch: false };
}

function checkedCount(events: readonly unknown[]): readonly unknown[] {
  if (events.length >= 1 && events.length <= MAX_EVENTS) return events;
  throw new ServiceError("too-large", "events", `are ${events.length}`, `Send 1 to ${MAX_EVENTS} at a time`);
}

function readEvent(event: unknown, where: string): FeedbackEvent | ServiceError {
  if (checkEvent.Check(event)) return event;
  const [first] = checkEvent.Errors(event);
  const place = first === undefined ? "" : first.instancePath.replaceAll("/", ".");
  return new ServiceError("invalid-body", `${where}${place}`, first?.message ?? "is no feedback", "See /openapi.json");
}

function toldResult(result: FeedbackResult) {
  if (result.status !== "refused") return result;
  const { status, code, message } = toldOf(result.error);
  return { id: result.id, status: result.status, code, http_status: status, detail: message };
}
