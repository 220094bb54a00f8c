import type { App, Context } from "../http/context.js";
import { STATUS_PAGE } from "./status-page.js";

/** What those who run the service need. */
export function addOperations(app: App, context: Context): void {
  const open = { scope: null } as const;
  const tags = ["operations"];
  app.get("/livez", { config: open, schema: { tags } }, async () => ({ status: "alive" }));
  app.get("/readyz", { config: open, schema: { tags } }, async (_, reply) => {
    const isReady = context.isReady();
    return reply.code(isReady ? 200 : 503).send({ status: isReady ? "ready" : "closing" });
  });
  app.get("/metrics", { config: { scope: "admin" }, schema: { tags } }, async (_, reply) => {
    const { registry } = context.metrics;
    return reply.type(registry.contentType).send(await registry.metrics());
  });
  app.get("/openapi.json", { config: open, schema: { hide: true } }, async () => app.swagger());
  app.post("/admin/backup", { config: { scope: "admin" }, schema: { tags } }, async () => ({
    folder: await context.home.backup(),
  }));
  app.get("/", { config: open, schema: { hide: true } }, async (_, reply) =>
    reply
      .type("text/html; charset=utf-8")
      .header(
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
      )
      .header("x-frame-options", "DENY")
      .send(STATUS_PAGE),
  );
}
