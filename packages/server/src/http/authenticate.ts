import type { FastifyRequest } from "fastify";
import type { Caller, Scope } from "../auth/keys.js";
import { SCOPES } from "../auth/keys.js";
import { notFound, ServiceError } from "../base/errors.js";
import type { Context } from "./context.js";

/** Who calls a service without keys, which only this machine can reach. */
const LOCAL: Caller = { key: "local", tenant: "default", scopes: new Set(SCOPES) };

/** Names of this machine, with or without a port. A page of another site that points its name here does not send them. */
const LOCAL_HOST = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/i;

/** Sets the request's caller. @throws ServiceError `unauthorized`, `forbidden`, `overloaded` */
export async function authenticate(request: FastifyRequest, context: Context, isOpen: boolean): Promise<void> {
  const { scope = "admin" } = request.routeOptions.config;
  if (scope === null) return;
  request.caller = isOpen ? local(request) : await keyed(request, context);
  if (!request.caller.scopes.has(scope)) throw forbidden(request, scope);
}

function local({ headers: { host } }: FastifyRequest): Caller {
  if (host !== undefined && LOCAL_HOST.test(host)) return LOCAL;
  const remedy = "Call it as localhost, or make a key with `microlora keys add`";
  throw new ServiceError("unauthorized", "host", "is not this machine, and the service has no keys", remedy);
}

async function keyed({ headers }: FastifyRequest, { keys, tokens }: Context): Promise<Caller> {
  const token = /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1] ?? headers["x-api-key"];
  const caller = typeof token === "string" ? (keys.callerOf(token) ?? (await tokens?.callerOf(token))) : undefined;
  if (caller !== undefined) return caller;
  const taken = tokens === null ? "" : ", or a token of the issuer that is set";
  const remedy = `Send \`Authorization: Bearer KEY\` with a key that \`microlora keys add\` made${taken}`;
  throw new ServiceError("unauthorized", "authorization", "has no key that is known", remedy);
}

/** A path that is no route stays one, whatever the key may do. */
function forbidden({ routeOptions }: FastifyRequest, scope: Scope): ServiceError {
  if (routeOptions.url === undefined) return notFound("path");
  return new ServiceError("forbidden", "key", `lacks the scope ${scope}`, "Use a key that has it");
}
