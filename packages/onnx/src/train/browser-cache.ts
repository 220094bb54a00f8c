import type { DerivationCache } from "./derivation-cache.js";

/** A cache of derived graphs in the browser's own storage (Cache API), kept between visits. @param name of the storage */
export function browserCache(name = "microlora-derivations"): DerivationCache {
  const urlOf = (key: string) => `https://derivations.invalid/${key}`;
  return {
    async get(key) {
      const found = await (await caches.open(name)).match(urlOf(key));
      return found && new Uint8Array(await found.arrayBuffer());
    },
    async set(key, bytes) {
      await (await caches.open(name)).put(urlOf(key), new Response(bytes.slice()));
    },
  };
}
