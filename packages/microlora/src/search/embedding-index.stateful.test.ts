import fc from "fast-check";
import { expect, test } from "vitest";
import { MicroLoraError } from "../base/errors.js";
import { floats } from "../base/samples.test-support.js";
import { Runtime } from "../kernels/runtime.js";
import { EmbeddingIndex } from "./embedding-index.js";

const N = 5;

/** Sequences of calls; `STATEFUL` asks for more. */
const SEQUENCES = Number(process.env.STATEFUL ?? 1000);

interface Entry {
  readonly id: number;
  readonly vector: Float32Array;
  readonly payload: number | undefined;
}

/** The same index as a list of entries in the order in which they were added, every cosine computed anew in float64. */
class SlowIndex {
  entries: Entry[] = [];

  put(entry: Entry): void {
    const at = this.entries.findIndex(({ id }) => id === entry.id);
    if (at === -1) this.entries.push(entry);
    else this.entries[at] = entry;
  }

  remove(id: number): boolean {
    const at = this.entries.findIndex((entry) => entry.id === id);
    if (at !== -1) this.entries.splice(at, 1);
    return at !== -1;
  }

  scores(query: Float32Array, filter: (payload: number | undefined) => boolean): Map<number, number> {
    const cosine = (vector: Float32Array) => {
      const length = Math.hypot(...vector) * Math.hypot(...query);
      return length === 0 ? 0 : vector.reduce((sum, v, i) => sum + v * query[i]!, 0) / length;
    };
    return new Map(this.entries.filter(({ payload }) => filter(payload)).map(({ id, vector }) => [id, cosine(vector)]));
  }
}

type Call =
  | { readonly do: "add" | "replace"; readonly id: number; readonly seed: number; readonly payload: number | undefined }
  | { readonly do: "remove"; readonly id: number }
  | { readonly do: "search"; readonly seed: number; readonly k: number; readonly odd: boolean }
  | { readonly do: "reload" }
  | { readonly do: "wrong"; readonly which: number };

const id = fc.nat(12);
const seed = fc.nat(40);
const call: fc.Arbitrary<Call> = fc.oneof(
  fc.record({ do: fc.constantFrom("add", "replace"), id, seed, payload: fc.option(fc.nat(9), { nil: undefined }) }),
  fc.record({ do: fc.constant("remove" as const), id }),
  fc.record({ do: fc.constant("search" as const), seed, k: fc.nat(15), odd: fc.boolean() }),
  fc.record({ do: fc.constant("reload" as const) }),
  fc.record({ do: fc.constant("wrong" as const), which: fc.nat(5) }),
);

/** A vector of a seed, zeros among them. */
const vectorOf = (of: number) => (of % 13 === 0 ? new Float32Array(N) : floats(N, of));

const WRONG: readonly ((index: EmbeddingIndex<number, number>) => unknown)[] = [
  (index) => index.add(99, floats(N + 1, 1)),
  (index) => index.replace(1, floats(N, 1).fill(Number.NaN, 2, 3)),
  (index) => index.add(undefined as never, floats(N, 1)),
  (index) => index.search(floats(N - 1, 1), 3),
  (index) => index.search(floats(N, 1), -1),
  (index) => index.add(98, "text" as never),
];

test(`${SEQUENCES} random sequences of calls, in a memory that may be full, against a list`, async () => {
  const scratch = await Runtime.create({ memoryBytes: 2 ** 20 });
  await fc.assert(
    fc.asyncProperty(fc.array(call, { maxLength: 40 }), fc.nat(4000), async (calls, room) => {
      const runtime = await Runtime.create({ memoryBytes: 65_536, kernels: "scalar" });
      runtime.allocate((65_536 - 64) / 4 - 200 - room);
      let index = await EmbeddingIndex.create<number, number>([], { runtime, dimensions: N });
      const slow = new SlowIndex();
      for (const each of calls) index = await step(index, slow, each, scratch);
      expect(index.ids()).toEqual(slow.entries.map((entry) => entry.id));
      for (const entry of slow.entries) {
        expect(index.payloadOf(entry.id)).toBe(entry.payload);
        const length = Math.hypot(...entry.vector) || 1;
        expect([...index.vectorOf(entry.id)!]).toEqual([...entry.vector.map((v) => v / length)]);
      }
      index.close();
    }),
    { numRuns: SEQUENCES },
  );
}, 600_000);

async function step(
  index: EmbeddingIndex<number, number>,
  slow: SlowIndex,
  each: Call,
  elsewhere: Runtime,
): Promise<EmbeddingIndex<number, number>> {
  const before = index.toBytes();
  if (each.do === "reload") {
    const twin = await EmbeddingIndex.fromBytes<number, number>(before, { runtime: elsewhere });
    using same = EmbeddingIndex.fromBytesSync<number, number>(before, { runtime: elsewhere });
    expect(Buffer.compare(same.toBytes(), twin.toBytes())).toBe(0);
    expect(twin.toBytes()).toEqual(before);
    const query = floats(N, 77);
    expect(twin.search(query, 5).map((hit) => hit.id)).toEqual(index.search(query, 5).map((hit) => hit.id));
    twin.close();
    return index;
  }
  try {
    run(index, slow, each);
  } catch (error) {
    expect(error).toBeInstanceOf(MicroLoraError);
    expect(index.toBytes()).toEqual(before);
  }
  return index;
}

function run(index: EmbeddingIndex<number, number>, slow: SlowIndex, each: Exclude<Call, { do: "reload" }>): void {
  if (each.do === "wrong") {
    WRONG[each.which]!(index);
    throw new Error("was accepted");
  }
  if (each.do === "remove") {
    expect(index.remove(each.id)).toBe(slow.remove(each.id));
  } else if (each.do === "search") {
    search(index, slow, each);
  } else {
    const entry = { id: each.id, vector: vectorOf(each.seed), payload: each.payload };
    const known = index.has(each.id);
    index[each.do](each.id, each.seed % 2 ? [...entry.vector] : entry.vector, each.payload);
    expect(each.do === "add" && known).toBe(false);
    slow.put(entry);
  }
}

function search(
  index: EmbeddingIndex<number, number>,
  slow: SlowIndex,
  { seed: of, k, odd }: Extract<Call, { do: "search" }>,
): void {
  const query = floats(N, 1000 + of);
  const filter = (payload: number | undefined) => !odd || (payload ?? 0) % 2 === 1;
  const hits = index.search(query, k, odd ? { filter: (_, payload) => filter(payload) } : {});
  const scores = slow.scores(query, filter);
  expect(hits).toHaveLength(Math.min(k, scores.size));
  const best = [...scores.values()].sort((a, b) => b - a);
  for (const [rank, hit] of hits.entries()) {
    expect(Math.abs(hit.score - scores.get(hit.id)!)).toBeLessThan(1e-6);
    expect(Math.abs(hit.score - best[rank]!)).toBeLessThan(1e-6);
  }
}
