import type { EmbeddingIndex, Item, PersonalFeedback } from "microlora";
import { ServiceError } from "../base/errors.js";
import type { FeedbackEvent, FeedbackItem } from "./feedback-event.js";
import type { Home } from "./home.js";
import type { ShownRequest } from "./shown-requests.js";

/** The search that an event names; undefined if it names none, or one that is not kept any more. */
export function requestOf(home: Home, tenant: string, { request_id }: FeedbackEvent): ShownRequest | undefined {
  return request_id === undefined ? undefined : home.shown.find(tenant, request_id);
}

/** @throws ServiceError `request-expired`, or `not-found` for a search of another user */
export function checkRequest(event: FeedbackEvent, request: ShownRequest | undefined, user: string): void {
  const isTold = event.query !== undefined || event.vector !== undefined;
  if (event.request_id !== undefined && request === undefined && !isTold) throw expired();
  if (request === undefined || request.user === null || request.user === user) return;
  throw new ServiceError("not-found", "request_id", "is not there", "Send the request_id of the same user's search");
}

/** The error of a search that is not kept any more. */
export function expired(): ServiceError {
  const remedy = "Send `user`, `query`, `index` and `shown` with the event";
  return new ServiceError("request-expired", "request_id", "is not kept any more", remedy);
}

/** An event as a `Personalizer` takes it, which checks it. @throws ServiceError `invalid-body` without a query */
export function personalFeedbackOf(
  home: Home,
  event: FeedbackEvent,
  request: ShownRequest | undefined,
  index: EmbeddingIndex<string, unknown> | undefined,
): PersonalFeedback<string> {
  const { chosen, rejected, item, rating, stars, weight } = event;
  const brought = broughtItems(home, event);
  const itemOf = (each: FeedbackItem) =>
    typeof each === "string" ? (brought.get(each) ?? each) : brought.get(each.id)!;
  const shown = event.shown?.map(itemOf) ?? shownBefore(event, request, index);
  const fields = {
    query: queryOf(home, event, request),
    ...(index !== undefined && { index }),
    ...(chosen !== undefined && { chosen: chosen === null ? null : itemOf(chosen) }),
    ...(shown !== undefined && { shown }),
    ...(rejected !== undefined && { rejected: rejected.map(itemOf) }),
    ...(item !== undefined && { item: itemOf(item) }),
    ...(rating !== undefined && { rating }),
    ...(stars !== undefined && { stars }),
    ...(weight !== undefined && { reward: weight }),
  };
  return fields as unknown as PersonalFeedback<string>;
}

/** What the search showed, without what was removed since. */
function shownBefore(
  { chosen, rejected }: FeedbackEvent,
  request: ShownRequest | undefined,
  index: EmbeddingIndex<string, unknown> | undefined,
): readonly string[] | undefined {
  if (chosen === undefined || rejected !== undefined) return undefined;
  return request?.shown.filter((id) => index?.has(id));
}

/** Items that came with a text or a vector, by id; elsewhere in the event the id alone names them. */
function broughtItems({ embedder }: Home, event: FeedbackEvent): ReadonlyMap<string, Item<string>> {
  const { shown = [], rejected = [], chosen, item } = event;
  const brought = new Map<string, Item<string>>();
  for (const each of [...shown, ...rejected, chosen, item]) {
    if (each === undefined || each === null || typeof each === "string" || brought.has(each.id)) continue;
    const vector = "text" in each ? embedder.embed(each.text) : Float32Array.from(each.vector);
    brought.set(each.id, { id: each.id, vector });
  }
  return brought;
}

function queryOf(
  { embedder }: Home,
  { query, vector }: FeedbackEvent,
  request: ShownRequest | undefined,
): Float32Array {
  if (vector !== undefined) return Float32Array.from(vector);
  const asked = query ?? request?.query;
  if (asked === undefined) {
    const remedy = "Send `query`, `vector`, or the `request_id` of a search";
    throw new ServiceError("invalid-body", "query", "is missing", remedy);
  }
  return typeof asked === "string" ? embedder.embed(asked) : asked;
}
