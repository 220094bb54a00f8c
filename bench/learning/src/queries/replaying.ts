import { type EmbeddingIndex, Learner, MicroLora, type SearchHit } from "microlora";
import { learningOf } from "../holding.js";
import type { Knobs } from "../knobs.js";
import type { SettingName } from "../settings.js";
import type { QueryBasis, QueryClick, QueryLearner } from "./query-learner.js";

const MODULE = "query";
/** Clicks that are kept, whatever they take; each is kept with the vectors of all that was shown. */
const CLICKS = 32;

/** Slow weights as those of a `Personalizer`, learned by a `Learner`, which can replay. */
export async function createReplaying(
  name: SettingName,
  { dimensions, temperature, directions, scaling, vectorOf, shown }: QueryBasis,
  knobs: Knobs,
  seed: number,
): Promise<QueryLearner> {
  const lora = await MicroLora.create({
    hiddenSize: dimensions,
    targetModules: [MODULE],
    rank: directions.length,
    alpha: scaling * directions.length,
    bias: true,
    seed,
    learning: learningOf(name, knobs),
  });
  for (const [r, direction] of directions.entries()) lora.getAdapter(MODULE)?.loraA.set(direction, r * dimensions);
  const bytes = CLICKS * (shown + 3) * dimensions * Float32Array.BYTES_PER_ELEMENT;
  const learner = new Learner(lora, { score: "cosine", temperature, replay: { bytes }, seed });
  const transform = (query: Float32Array): Float32Array => {
    const output = query.slice();
    lora.forwardAdd(query, MODULE, output);
    return output;
  };
  return {
    slow: lora,
    transform,
    search: (query: Float32Array, index: EmbeddingIndex, k: number): SearchHit[] => index.search(transform(query), k),
    learn({ query, chosen, shown: ids }: QueryClick) {
      const vectors = ids.map(vectorOf);
      learner.learn({ x: query, output: transform(query) }, { chosen: vectors[ids.indexOf(chosen)]!, shown: vectors });
    },
    toBytes: () => learner.toBytes(),
    [Symbol.dispose]: () => lora[Symbol.dispose](),
  };
}
