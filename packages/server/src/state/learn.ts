import { type Committed, type PersonalUser, StoreError, type Turn, type UserKey, userKey } from "@microlora/store";
import { MicroLoraError } from "microlora";
import { canonicalJson } from "../base/canonical-json.js";
import { ServiceError } from "../base/errors.js";
import { checkName } from "../base/names.js";
import type { FeedbackEvent } from "./feedback-event.js";
import type { Home } from "./home.js";
import { checkRequest, expired, personalFeedbackOf, requestOf } from "./read-feedback.js";

/** What became of one event. */
export type FeedbackResult =
  | {
      readonly id: string;
      /** `duplicate` if it was learned before; the rest is the first answer then. */
      readonly status: "learned" | "duplicate";
      readonly seq: number;
      readonly version: number;
      readonly loss: number | null;
    }
  | { readonly id: string; readonly status: "refused"; readonly error: MicroLoraError };

/** Events of one user that share a turn at most, so that other turns of the user are not kept waiting. */
const GROUP = 32;

/**
 * Learns from events, those of one user in the order in which they come. All of it is on disk when the promise is fulfilled.
 * @param user of events that name none
 * @returns a result for each event, in order
 * @throws StoreError where the store fails: some events may be stored then, and trying again with the same ids finds out
 */
export async function learnAll(
  home: Home,
  tenant: string,
  events: readonly FeedbackEvent[],
  user?: string,
): Promise<FeedbackResult[]> {
  const places = new Map<string | undefined, number[]>();
  for (const [i, event] of events.entries()) {
    const name = event.user ?? user ?? requestOf(home, tenant, event)?.user ?? undefined;
    const own = places.get(name);
    if (own === undefined) places.set(name, [i]);
    else own.push(i);
  }
  const results = new Array<FeedbackResult>(events.length);
  const outcomes = await Promise.allSettled(
    [...places].map(async ([name, own]) => {
      for (let from = 0; from < own.length; from += GROUP) {
        const group = own.slice(from, from + GROUP);
        const learned = await learnGroup(
          home,
          tenant,
          name,
          group.map((i) => events[i]!),
        );
        for (const [k, i] of group.entries()) results[i] = learned[k]!;
      }
    }),
  );
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return results;
}

/** Learns in one turn, and so in one commit. */
async function learnGroup(
  home: Home,
  tenant: string,
  user: string | undefined,
  events: readonly FeedbackEvent[],
): Promise<FeedbackResult[]> {
  const key = keyOf(tenant, user);
  if (key instanceof MicroLoraError) return Promise.all(events.map((event) => refusedOrDone(home, tenant, event, key)));
  const outcomes = await home.users.with(key, async (turn) => {
    const own: (Outcome | MicroLoraError)[] = [];
    for (const event of events) own.push(await learnOne(home, turn, event));
    return own;
  });
  return Promise.all(
    outcomes.map((outcome, i) =>
      outcome instanceof MicroLoraError
        ? refusedOrDone(home, tenant, events[i]!, outcome)
        : resultOf(events[i]!, outcome),
    ),
  );
}

function keyOf(tenant: string, user: string | undefined): UserKey | MicroLoraError {
  if (user === undefined) {
    const remedy = "Send `user` in the event, or the header X-Microlora-User";
    return new ServiceError("invalid-body", "user", "is missing", remedy);
  }
  try {
    return userKey(tenant, checkName(user, "user"));
  } catch (error) {
    return error as MicroLoraError;
  }
}

interface Outcome {
  readonly committed: Committed;
  readonly loss: number | null;
}

/** @returns the error of an event that is refused; others are thrown, since the whole turn failed */
async function learnOne(home: Home, turn: Turn<PersonalUser>, event: FeedbackEvent): Promise<Outcome | MicroLoraError> {
  try {
    checkName(event.id, "id");
    const { loss, ...change } = await prepare(home, turn, event);
    const answer = JSON.stringify({ loss });
    return { committed: turn.commit({ id: event.id, source: sourceOf(event), answer, ...change }), loss };
  } catch (error) {
    const isOfTheEvent =
      error instanceof MicroLoraError && !(error instanceof StoreError) && error.code !== "memory-full";
    if (isOfTheEvent) return error;
    throw error;
  }
}

function prepare(home: Home, { key, state }: Turn<PersonalUser>, event: FeedbackEvent) {
  const request = requestOf(home, key.tenant, event);
  checkRequest(event, request, key.user);
  const index = event.index ?? request?.index;
  if (index === undefined) return state.prepare(personalFeedbackOf(home, event, request, undefined));
  const indexKey = userKey(key.tenant, checkName(index, "index"));
  return home.indexes.with(indexKey, ({ state: { embeddings } }) =>
    state.prepare(personalFeedbackOf(home, event, request, embeddings)),
  );
}

/** What was received: two events of one id are the same when these are. */
function sourceOf(event: FeedbackEvent): Uint8Array {
  return new TextEncoder().encode(canonicalJson(event));
}

/** A retry may be refused since something that it names is gone, though its first try was learned. It is told the first answer then. */
async function refusedOrDone(
  home: Home,
  tenant: string,
  event: FeedbackEvent,
  error: MicroLoraError,
): Promise<FeedbackResult> {
  const source = sourceOf(event);
  const find = (user: string) => home.userStore.find(userKey(tenant, user), event.id, source);
  let found = await find(NOBODY);
  if (found?.status === "duplicate") found = await find(found.user);
  if (found !== null) return resultOf(event, { committed: found, loss: null });
  const isExpired = event.user === undefined && event.request_id !== undefined && error.where === "user";
  return { id: event.id, status: "refused", error: isExpired ? expired() : error };
}

/** Ids are those of the tenant, so any name finds whose an event is. */
const NOBODY = "nobody";

function resultOf({ id }: FeedbackEvent, { committed, loss }: Outcome): FeedbackResult {
  if (committed.status === "ok") return { id, status: "learned", seq: committed.seq, version: committed.seq, loss };
  if (committed.status === "erased") {
    const remedy = "Send no more events of a user who was erased";
    const error = new ServiceError("erased", "id", "is one of a user who was erased", remedy);
    return { id, status: "refused", error };
  }
  if (!committed.same) {
    const remedy = "Give each event an id of its own";
    const error = new ServiceError("idempotency-conflict", "id", "is that of another event", remedy);
    return { id, status: "refused", error };
  }
  const answer = JSON.parse(committed.answer) as { readonly loss: number | null };
  return { id, status: "duplicate", seq: committed.seq, version: committed.seq, loss: answer.loss };
}
