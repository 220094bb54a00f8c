import rateLimit from "@fastify/rate-limit";
import swagger from "@fastify/swagger";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import fastify, { type FastifyReply, type FastifyRequest, LogController } from "fastify";
import { ServiceError } from "../base/errors.js";
import { authenticate } from "./authenticate.js";
import { addBodyParsers } from "./body-parsers.js";
import type { App, Context } from "./context.js";
import { logOptions } from "./log.js";
import { type Family, RENDER, toldOf } from "./render-error.js";
import { addTraces } from "./traces.js";

export interface AppOptions {
  /** Level of the log; `silent` for none. */
  readonly logLevel: string;
  readonly version: string;
  /** Whether each request is a span of OpenTelemetry. */
  readonly isTraced: boolean;
  /** Whether requests without a key are those of the one local tenant. */
  readonly isOpen: boolean;
}

/** Longest part of a path: 256 bytes, percent-encoded. */
const MAX_PARAM_LENGTH = 768;
const KEEP_ALIVE_MS = 72_000;
const MINUTE_MS = 60_000;

/** The HTTP side of the service, still without routes. */
export async function createApp(context: Context, { logLevel, version, isTraced, isOpen }: AppOptions): Promise<App> {
  const { limits } = context;
  const app: App = fastify({
    logger: logOptions(logLevel),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestTimeoutMs,
    connectionTimeout: 4 * limits.requestTimeoutMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    // Node ends no request that is slow unless the time for headers is within that for the whole.
    http: {
      requestTimeout: limits.requestTimeoutMs,
      headersTimeout: limits.requestTimeoutMs,
      connectionsCheckingInterval: Math.ceil(limits.requestTimeoutMs / 2),
    },
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    forceCloseConnections: "idle",
    return503OnClosing: true,
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false, allErrors: false } },
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.setSerializerCompiler(() => JSON.stringify);
  addBodyParsers(app);
  app.setErrorHandler((error, request, reply) => sendError(request, reply, error));
  app.setNotFoundHandler((request, reply) => {
    sendError(request, reply, new ServiceError("not-found", "path", "is not a route", "See /openapi.json"));
  });
  if (isTraced) await addTraces(app, version);
  addLoad(app, context);
  app.decorateRequest("caller");
  app.addHook("onRequest", (request) => authenticate(request, context, isOpen));
  await app.register(rateLimit, {
    hook: "preParsing",
    max: limits.requestsPerMinute,
    timeWindow: MINUTE_MS,
    keyGenerator: ({ caller }) => caller?.key ?? "",
    allowList: ({ routeOptions }) => routeOptions.config.scope === null,
    errorResponseBuilder: (_, { ttl }) => rateLimited(ttl),
  });
  await app.register(swagger, { openapi: openApi(version) });
  return app;
}

/** Answers with an error in the shape of the route's family. */
export function sendError(request: FastifyRequest, reply: FastifyReply, error: unknown): void {
  const told = toldOf(error);
  const { type, body } = RENDER[familyOf(request)](told, request.id);
  if (told.status >= 500) request.log.error({ code: told.code, stack: stackOf(error) }, "failed");
  if (told.retryAfter !== undefined) reply.header("retry-after", told.retryAfter);
  if (told.status === 401) reply.header("www-authenticate", "Bearer");
  reply.code(told.status).type(type).send(body);
}

function familyOf({ routeOptions, url }: FastifyRequest): Family {
  const { family } = routeOptions.config;
  if (family !== undefined || routeOptions.url !== undefined) return family ?? "own";
  return OPENAI_PATHS.test(url) ? "openai" : "own";
}

const OPENAI_PATHS = /^\/v1\/(?:embeddings|models|chat|completions)\b/;

/** The stack without the message, which may name a user. */
function stackOf(error: unknown): string | undefined {
  const { stack, cause } = error as Error;
  const lines = stack?.split("\n").filter((line) => /^\s+at /.test(line));
  return lines && [...lines, ...(cause instanceof Error ? [`caused by ${cause.name}`] : [])].join("\n");
}

function rateLimited(ttlMs: number): ServiceError {
  const retryAfter = Math.max(1, Math.ceil(ttlMs / 1000));
  return new ServiceError("rate-limited", "key", "sent too many requests", `Wait ${retryAfter} s`, { retryAfter });
}

/** Counts and times requests, and refuses more at once than are worked on without waiting. */
function addLoad(app: App, { limits, metrics }: Context): void {
  let underWay = 0;
  app.addHook("onRequest", async ({ routeOptions }, { raw }) => {
    underWay++;
    // Also where the client left before its request was whole.
    raw.once("close", () => underWay--);
    if (underWay <= limits.requestsAtOnce || routeOptions.config.scope === null) return;
    throw new ServiceError("overloaded", "service", "has enough to do", "Try again in a moment", { retryAfter: 1 });
  });
  app.addHook("onResponse", async (request, { elapsedTime, statusCode }) => {
    const labels = { method: request.method, route: request.routeOptions.url ?? "none", status: String(statusCode) };
    metrics.requests.observe(labels, elapsedTime / 1000);
    request.log.debug({ ...labels, ms: Math.round(elapsedTime * 10) / 10 }, "answered");
  });
}

function openApi(version: string) {
  return {
    openapi: "3.1.0",
    info: {
      title: "MicroLoRA",
      version,
      description: "Embeddings, search and feedback, learned per user. OpenAI's and TEI's routes, and its own.",
    },
    components: { securitySchemes: { key: { type: "http" as const, scheme: "bearer" } } },
    security: [{ key: [] }],
  };
}
