import { Type as T } from "typebox";
import { notFound } from "../base/errors.js";
import { type App, type Context, EMBEDDER_NAME } from "../http/context.js";

const Params = T.Object({ model: T.String() });

/** The models; users are never listed. */
export function addModels(app: App, context: Context): void {
  const created = Math.floor(context.now() / 1000);
  const names = [EMBEDDER_NAME, ...(context.language === null ? [] : [context.language.name])];
  const models = names.map((id) => ({ id, object: "model", created, owned_by: "microlora", root: id, parent: null }));
  const config = { family: "openai", scope: "read" } as const;
  app.get("/v1/models", { config, schema: { tags: ["openai"] } }, async () => ({ object: "list", data: models }));
  app.get("/v1/models/:model", { config, schema: { params: Params, tags: ["openai"] } }, async ({ params }) => {
    const found = models.find(({ id }) => id === params.model);
    if (found === undefined) throw notFound("model");
    return found;
  });
}
