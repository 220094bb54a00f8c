import { serve } from "@hono/node-server";
import { PersonalSearch } from "@microlora/search";
import { openSqliteStore } from "@microlora/store/sqlite";
import { Hono } from "hono";
import { documents } from "./documents.js";

const store = await openSqliteStore(process.env.DATABASE ?? "users.db");
const search = await PersonalSearch.create({ documents, store });

// Put your own authentication in front: whoever names a user here is that user.
const app = new Hono();
app.get("/search", async (context) => {
  const { text = "", user } = context.req.query();
  return context.json(await search.search(text, { user }));
});
app.post("/click", async (context) => context.json(await search.click(await context.req.json())));
app.delete("/users/:user", async (context) => context.json(await search.forget(context.req.param("user"))));
app.onError((error, context) => {
  const isRefusal = typeof error.code === "string";
  return context.json({ code: error.code ?? "internal", message: error.message }, isRefusal ? 400 : 500);
});

const server = serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) }, ({ port }) => {
  console.log(`Listening on http://localhost:${port}`);
});

async function stop() {
  server.close();
  await search.close();
  await store.close();
}
process.once("SIGINT", stop);
process.once("SIGTERM", stop);
