import { userKey } from "@microlora/store";
import type { FastifyReply, FastifyRequest } from "fastify";
import { ServiceError } from "../base/errors.js";
import { oneUser, type Person } from "../state/people.js";

export const USER_HEADER = "x-microlora-user";
const MIN_VERSION_HEADER = "microlora-min-version";
const VERSION_HEADER = "microlora-version";

/** The user that a request names, in its header or elsewhere. @throws ServiceError `adapter-conflict`, `invalid-body` */
export function userOf({ headers }: FastifyRequest, ...names: readonly (string | undefined)[]): string | undefined {
  return oneUser([headerOf(headers[USER_HEADER]), ...names]);
}

/** As `userOf`, with the version that it asks for; null for nobody. */
export function personOf(request: FastifyRequest, ...names: readonly (string | undefined)[]): Person | null {
  const user = userOf(request, ...names);
  if (user === undefined) return null;
  return { key: userKey(request.caller.tenant, user), minVersion: minVersionOf(request) };
}

function minVersionOf({ headers }: FastifyRequest): number {
  const asked = headerOf(headers[MIN_VERSION_HEADER]);
  if (asked === undefined) return 0;
  if (/^\d{1,10}$/.test(asked)) return Number(asked);
  throw new ServiceError(
    "invalid-body",
    MIN_VERSION_HEADER,
    "is not a whole number",
    "Send a version that was answered",
  );
}

/** HTTP has bytes in headers; clients send names there as UTF-8, which Node reads as Latin-1. */
function headerOf(value: string | readonly string[] | undefined): string | undefined {
  if (value === undefined) return undefined;
  const text = typeof value === "string" ? value : value.join(", ");
  return Buffer.from(text, "latin1").toString("utf8");
}

/** Tells which version of the user an answer is of. */
export function sayVersion(reply: FastifyReply, version: number): void {
  reply.header(VERSION_HEADER, version);
}
