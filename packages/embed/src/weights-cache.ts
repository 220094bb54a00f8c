/** A place where weights are kept between loads. Whatever it gives back is checked before it is used. */
export interface WeightsCache {
  /** The bytes kept for an address; undefined if there are none. */
  get(address: string): Promise<Uint8Array | undefined>;
  /** Keeps the bytes of an address. */
  set(address: string, bytes: Uint8Array): Promise<void>;
}

const CACHE_NAME = "@microlora/embed";
/** Files that are kept: both widths, of this version and the one before. */
const MOST = 4;

/** The place that an option asks for; undefined if there is none. A place that fails is the same as none. */
export function storeOf(cache: boolean | WeightsCache): WeightsCache | undefined {
  if (cache === false) return undefined;
  const store = cache === true ? browserCache() : cache;
  return store && forgiving(store);
}

/** Cache Storage, where there is one: pages over plain http and sandboxed frames have none. */
function browserCache(): WeightsCache | undefined {
  const storage = cacheStorage();
  if (storage === undefined) return undefined;
  return {
    async get(address) {
      const response = await (await storage.open(CACHE_NAME)).match(keyOf(address));
      return response && new Uint8Array(await response.arrayBuffer());
    },
    async set(address, bytes) {
      const cache = await storage.open(CACHE_NAME);
      await cache.put(keyOf(address), new Response(bytes as Uint8Array<ArrayBuffer>));
      const keys = await cache.keys();
      for (const key of keys.slice(0, -MOST)) await cache.delete(key);
    },
  };
}

/** Reading `caches` throws in a sandboxed frame. Outside browsers, only Cloudflare Workers have it, where it keeps little. */
function cacheStorage(): CacheStorage | undefined {
  try {
    return typeof caches === "object" && typeof location === "object" ? caches : undefined;
  } catch {
    return undefined;
  }
}

/** An address by which Cache Storage keeps things: it refuses those that are not http. */
function keyOf(address: string): string {
  return new URL(address, location.href).href;
}

function forgiving(store: WeightsCache): WeightsCache {
  return {
    get: async (address) => {
      try {
        return await store.get(address);
      } catch {
        return undefined;
      }
    },
    set: async (address, bytes) => {
      try {
        await store.set(address, bytes);
      } catch {
        // Not kept: the next load fetches again.
      }
    },
  };
}
