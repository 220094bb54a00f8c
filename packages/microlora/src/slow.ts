import { checkAllFinite, checkFloats, withDefaults } from "./base/check.js";
import { MicroLoraError } from "./base/errors.js";
import type { Runtime } from "./kernels/runtime.js";
import { SLOW_MODULE, SLOW_OPTIONS, type SlowConfig, type SlowStart } from "./learn/personalizer-config.js";
import type { Learner } from "./learner.js";
import { MicroLora } from "./micro-lora.js";

/** Makes what lives on a MicroLora, which is given back where that fails. */
export function around(lora: MicroLora, make: () => Learner): Learner {
  try {
    return make();
  } catch (error) {
    lora[Symbol.dispose]();
    throw error;
  }
}

export async function createSlow(
  {
    dimensions,
    seed = 0,
    baseModel,
  }: { readonly dimensions: number; readonly seed?: number; readonly baseModel?: string },
  given: Partial<SlowConfig> & SlowStart,
  runtime: Runtime,
): Promise<MicroLora> {
  const directed = Array.isArray(given?.directions) ? { rank: given.directions.length } : {};
  const options = withDefaults({ ...SLOW_OPTIONS, ...directed }, given, "slow");
  const { directions, gated: _, rank, alpha, bias, ...learning } = options;
  if (directions !== undefined && directions.length !== rank) {
    throw new MicroLoraError(
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
  const lora = await MicroLora.create({
    rank,
    alpha,
    bias,
    hiddenSize: dimensions,
    targetModules: [SLOW_MODULE],
    seed,
    learning,
    runtime,
    ...(baseModel !== undefined && { baseModel }),
  });
  const { loraA } = lora.adapterOf(SLOW_MODULE);
  for (const [r, direction] of (directions ?? []).entries()) loraA.set(direction, r * dimensions);
  return lora;
}
