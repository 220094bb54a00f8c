import { DurableObject } from "cloudflare:workers";
import * as plain from "@microlora/embed";
import { loadEmbedder } from "@microlora/embed/inline-128";
import { EmbeddingIndex, Personalizer } from "microlora";
import { outcomeOf, searchThatLearns } from "./shared/search.js";

const DOCUMENTS = ["orange juice", "orange tree", "an orange phone case", "apple pie"];
const CHOSEN = "an orange phone case";

/** One person's search: what was learned lies in the object's storage, as bytes. */
export class User extends DurableObject {
  async click() {
    const embedder = await loadEmbedder();
    const index = await EmbeddingIndex.create(DOCUMENTS.map((text) => [text, embedder.embed(text)]));
    const kept = await this.ctx.storage.get("state");
    const options = { baseModel: embedder.fingerprint };
    const user = kept
      ? await Personalizer.fromBytes(kept, options)
      : await Personalizer.create({ dimensions: embedder.dimensions, ...options });
    const query = embedder.embed("orange");
    const place = () => user.search(query, index, DOCUMENTS.length).findIndex(({ id }) => id === CHOSEN) + 1;
    const before = place();
    user.learn({ query, chosen: CHOSEN, shown: DOCUMENTS, index });
    await this.ctx.storage.put("state", user.toBytes());
    return { before, after: place() };
  }
}

const ROUTES = {
  "/inline": () => searchThatLearns({ loadEmbedder, EmbeddingIndex, Personalizer }),
  "/assets": async (env) => {
    const weights = await env.ASSETS.fetch("https://assets/minilm-static-256.bin");
    return searchThatLearns({ loadEmbedder: plain.loadEmbedder, EmbeddingIndex, Personalizer }, { weights });
  },
  "/nothing": () => plain.loadEmbedder(),
  "/durable-object": (env) => env.USER.get(env.USER.idFromName("user-42")).click(),
};

export default {
  async fetch(request, env) {
    const route = ROUTES[new URL(request.url).pathname];
    return route ? Response.json(await outcomeOf(() => route(env))) : new Response(null, { status: 404 });
  },
};
