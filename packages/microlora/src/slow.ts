import { checkAllFinite, checkFloats } from "./base/check.js";
import { MicroLoraError } from "./base/errors.js";
import type { Runtime } from "./kernels/runtime.js";
import { PERSONALIZER_DEFAULTS, SLOW_MODULE, type SlowConfig, type SlowStart } from "./learn/personalizer-config.js";
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
  { directions, gated: _, ...given }: Partial<SlowConfig> & SlowStart,
  runtime: Runtime,
): Promise<MicroLora> {
  const rank = directions === undefined ? {} : { rank: directions.length };
  const settings = { ...PERSONALIZER_DEFAULTS.slow, ...rank, ...given };
  const { rank: resolvedRank, alpha, bias, ...learning } = settings;
  if (directions !== undefined && directions.length !== settings.rank) {
    throw new MicroLoraError(
      "invalid-config",
      "slow.directions",
      `are ${directions.length}, for rank ${settings.rank}`,
      "Pass one direction per rank, or leave the rank out",
    );
  }
  for (const [r, direction] of (directions ?? []).entries()) {
    checkFloats(direction, dimensions, `slow.directions[${r}]`);
    checkAllFinite(direction, `slow.directions[${r}]`);
  }
  const lora = await MicroLora.create({
    rank: resolvedRank,
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
