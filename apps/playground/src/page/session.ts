import { type Remote, wrap } from "comlink";
import type { Session } from "../worker/session.js";
import type { Keeping } from "../worker/shelf.js";

/** The session in its worker. @param told what becomes of keeping what is learned */
export function startSession(told: (keeping: Keeping) => void): Remote<Session> {
  const worker = new Worker(new URL("../worker/worker.ts", import.meta.url), { type: "module", name: "learning" });
  worker.addEventListener("message", ({ data }) => data?.keeping && told(data.keeping));
  return wrap<Session>(worker);
}
