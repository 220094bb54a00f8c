import type { Span, Tracer } from "@opentelemetry/api";
import type { FastifyRequest } from "fastify";
import { ServiceError } from "../base/errors.js";
import type { App } from "./context.js";

/** What a service tells OpenTelemetry, through whatever SDK the process has set up. */
export const TRACES = ["opentelemetry"] as const;
export type Traces = (typeof TRACES)[number];

/** Operations of OpenTelemetry's conventions for generative AI, by route; they are in development there. */
const OPERATIONS: Readonly<Record<string, string>> = {
  "/v1/embeddings": "embeddings",
  "/embed": "embeddings",
  "/v1/chat/completions": "chat",
};

/**
 * Makes a span of each request, as a child of the one that its headers name. Spans name routes and statuses, and no users, texts or ids.
 * Source: OpenTelemetry semantic conventions for HTTP spans, "HTTP server".
 * @throws ServiceError `invalid-option` where `@opentelemetry/api` is not installed
 */
export async function addTraces(app: App, version: string): Promise<void> {
  const { context, propagation, SpanKind, SpanStatusCode, trace } = await loadApi();
  const tracer: Tracer = trace.getTracer("@microlora/server", version);
  const spans = new WeakMap<FastifyRequest, Span>();
  app.addHook("onRequest", async (request) => {
    const { method, headers, routeOptions } = request;
    const route = routeOptions.url;
    const operation = route === undefined ? undefined : OPERATIONS[route];
    const attributes = {
      "http.request.method": method,
      ...(route !== undefined && { "http.route": route }),
      ...(operation !== undefined && { "gen_ai.operation.name": operation }),
    };
    const name = route === undefined ? method : `${method} ${route}`;
    const parent = propagation.extract(context.active(), headers);
    spans.set(request, tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, parent));
  });
  app.addHook("onResponse", async (request, { statusCode }) => {
    const span = spans.get(request);
    span?.setAttribute("http.response.status_code", statusCode);
    if (statusCode >= 500) {
      span?.setAttribute("error.type", String(statusCode));
      span?.setStatus({ code: SpanStatusCode.ERROR });
    }
    span?.end();
  });
}

async function loadApi(): Promise<typeof import("@opentelemetry/api")> {
  try {
    return await import("@opentelemetry/api");
  } catch {
    const remedy = "Run `npm install @opentelemetry/api`, or leave the option out";
    throw new ServiceError("invalid-option", "traces", "need a package that is not installed", remedy);
  }
}

/** @throws ServiceError `invalid-option` */
export function checkTraces(traces: string | undefined): void {
  if (traces === undefined || (TRACES as readonly string[]).includes(traces)) return;
  throw new ServiceError("invalid-option", "traces", `is ${JSON.stringify(traces)}`, `Pass ${TRACES.join(" or ")}`);
}
