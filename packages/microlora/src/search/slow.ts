import { MicroLora } from "../adapter/micro-lora.js";
import { checkAllFinite, checkFloats, withDefaults } from "../base/check.js";
import { refusal } from "../base/errors.js";
import type { Runtime } from "../kernels/runtime.js";
import { Learner } from "../learner/learner.js";
import {
  LEARNING_OPTIONS,
  type PersonalizerConfig,
  type ResolvedPersonalizer,
  SLOW_MODULE,
  SLOW_OPTIONS,
  type SlowConfig,
  type SlowStart,
} from "./personalizer-config.js";

/** Makes what lives on a MicroLora, which is closed where that fails. */
export function around(lora: MicroLora, make: () => Learner): Learner {
  try {
    return make();
  } catch (error) {
    lora.close();
    throw error;
  }
}

/** The slow weights of a new user with their learner; null where they are off. @throws MicroLoraError */
export function createSlow(
  config: PersonalizerConfig,
  { dimensions, temperature, baseModel }: ResolvedPersonalizer,
  runtime: Runtime,
): Learner | null {
  const { slow = {}, seed = 0 } = config;
  if (slow === false) return null;
  const learning = {
    ...withDefaults({ ...LEARNING_OPTIONS, seed }, config.learning, "learning"),
    score: "cosine",
    temperature,
  } as const;
  const lora = createLora(slow, { dimensions, seed, baseModel }, runtime);
  return around(lora, () => new Learner(lora, learning));
}

function createLora(
  given: Partial<SlowConfig> & SlowStart,
  { dimensions, seed, baseModel }: Pick<ResolvedPersonalizer, "dimensions" | "baseModel"> & { readonly seed: number },
  runtime: Runtime,
): MicroLora {
  const directed = Array.isArray(given?.directions) ? { rank: given.directions.length } : {};
  const options = withDefaults({ ...SLOW_OPTIONS, ...directed }, given, "slow");
  const { directions, gated: _, rank, alpha, bias, ...learning } = options;
  if (directions !== undefined && directions.length !== rank) {
    throw refusal(
      "invalid-config",
      "slow.directions",
      `are ${directions.length}, for rank ${rank}`,
      "Pass one direction per rank, or leave the rank out",
    );
  }
  for (const [r, direction] of (directions ?? []).entries()) {
    checkFloats(direction, dimensions, `slow.directions[${r}]`);
    checkAllFinite(direction, `slow.directions[${r}]`);
  }
  const lora = MicroLora.createSync({
    rank,
    alpha,
    bias,
    hiddenSize: dimensions,
    targetModules: [SLOW_MODULE],
    seed,
    learning,
    runtime,
    ...(baseModel !== null && { baseModel }),
  });
  const { pointers } = lora.adapterOf(SLOW_MODULE);
  for (const [r, direction] of (directions ?? []).entries()) {
    runtime.f32.set(direction, (pointers.loraA >>> 2) + r * dimensions);
  }
  return lora;
}
