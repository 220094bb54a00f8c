import { context, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Call, SHOP, startTestService } from "./service.test-support.js";

const exporter = new InMemorySpanExporter();
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";

let call: Call;
beforeAll(async () => {
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  ({ call } = await startTestService({ traces: "opentelemetry" }));
});
afterAll(() => trace.disable());
beforeEach(() => exporter.reset());

/** Spans that ended; a response is there a moment before its span. */
async function spans() {
  await new Promise((resolve) => setTimeout(resolve, 50));
  return exporter.getFinishedSpans();
}

test("a request is a span of its route, below the span that its headers name", async () => {
  await call("PUT", "/v1/indexes/shop/documents", { documents: SHOP }, { traceparent: `00-${TRACE}-${PARENT}-01` });
  const [span, ...more] = await spans();
  expect(more).toEqual([]);
  expect(span).toMatchObject({ name: "PUT /v1/indexes/:index/documents", kind: SpanKind.SERVER });
  expect(span!.spanContext().traceId).toBe(TRACE);
  expect(span!.parentSpanContext?.spanId).toBe(PARENT);
  expect(span!.attributes).toEqual({
    "http.request.method": "PUT",
    "http.route": "/v1/indexes/:index/documents",
    "http.response.status_code": 200,
  });
});

test("spans name operations, and no user, text or id", async () => {
  await call("POST", "/v1/embeddings", { model: "microlora:MarkedUser", input: "MarkedText" });
  await call("GET", "/v1/users/MarkedUser");
  await call("GET", "/MarkedPath");
  const found = await spans();
  expect(found.map(({ name }) => name)).toEqual(["POST /v1/embeddings", "GET /v1/users/:user", "GET"]);
  expect(found[0]!.attributes["gen_ai.operation.name"]).toBe("embeddings");
  expect(JSON.stringify(found.map(({ name, attributes, events }) => [name, attributes, events]))).not.toContain(
    "Marked",
  );
});

test("a request that the client got wrong is no error of the service", async () => {
  await call("POST", "/v1/embeddings", "{");
  const [span] = await spans();
  expect(span!.attributes["http.response.status_code"]).toBe(400);
  expect(span!.status.code).toBe(SpanStatusCode.UNSET);
});

test("another name of traces is refused", async () => {
  await expect(startTestService({ traces: "zipkin" })).rejects.toThrow(/traces: is "zipkin"/);
});
