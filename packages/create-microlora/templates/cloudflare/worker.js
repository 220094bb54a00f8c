import { DurableObject } from "cloudflare:workers";
import { loadEmbedder } from "@microlora/embed/inline-128";
import { EmbeddingIndex, Personalizer } from "microlora";
import { documents } from "./documents.js";

let shared;

/** What one isolate loads once: the embedder, and the documents. */
async function load() {
  const embedder = await loadEmbedder();
  const index = await EmbeddingIndex.create(
    documents.map((text) => [text, embedder.embed(text)]),
    { embedder },
  );
  return { embedder, index };
}

function loaded() {
  shared ??= load();
  return shared;
}

/** One user's search. What was learned lies in the storage of the object. */
export class User extends DurableObject {
  #user;

  async search(text) {
    const { embedder, index } = await loaded();
    return (await this.#open()).search(embedder.embed(text), index, 10);
  }

  async click({ text, id, shown }) {
    const { embedder, index } = await loaded();
    const user = await this.#open();
    user.learn({ query: embedder.embed(text), chosen: id, shown, index });
    await this.ctx.storage.put("user", user.toBytes());
    return { clicks: user.clicks };
  }

  async forget() {
    this.#user = undefined;
    await this.ctx.storage.deleteAll();
    return { forgotten: true };
  }

  async #open() {
    const { embedder } = await loaded();
    const kept = await this.ctx.storage.get("user");
    this.#user ??= kept
      ? await Personalizer.fromBytes(kept, { baseModel: embedder.fingerprint })
      : await Personalizer.create({ embedder });
    return this.#user;
  }
}

// Put your own authentication in front: whoever names a user here is that user.
export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const user = env.USER.get(env.USER.idFromName(searchParams.get("user") ?? "default"));
    if (pathname === "/search") return Response.json(await user.search(searchParams.get("text") ?? ""));
    if (pathname === "/click" && request.method === "POST")
      return Response.json(await user.click(await request.json()));
    if (pathname === "/forget" && request.method === "POST") return Response.json(await user.forget());
    return new Response("GET /search?text=…&user=…, POST /click, POST /forget", { status: 404 });
  },
};
