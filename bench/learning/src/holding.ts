import { ewcPlusPlus, type LearningConfig, type MicroLora, onlineEwc, productEwc, rwalk } from "microlora";
import type { Knobs } from "./knobs.js";
import { type Hold, type SettingName, settingOf } from "./settings.js";

/** The library's methods; a moving average over all tasks needs a longer memory than one that each task starts anew. */
const METHODS: Readonly<Record<Hold, Pick<LearningConfig, "ewc" | "fisherDecay">>> = {
  l2: { ewc: onlineEwc(), fisherDecay: 0.95 },
  onlineEwc: { ewc: onlineEwc(), fisherDecay: 0.95 },
  ewcPlusPlus: { ewc: ewcPlusPlus(), fisherDecay: 0.999 },
  rwalk: { ewc: rwalk(), fisherDecay: 0.999 },
  productEwc: { ewc: productEwc(), fisherDecay: 0.95 },
};

/** How a setting learns, in the library's terms. */
export function learningOf(name: SettingName, { learningRate, lambda }: Knobs): LearningConfig {
  const { hold } = settingOf(name);
  return hold === undefined ? { learningRate, ewcLambda: 0 } : { learningRate, ewcLambda: lambda, ...METHODS[hold] };
}

/** Ends a task; L2 is EWC that takes every parameter to be as important as any other. */
export function endTask(name: SettingName, lora: MicroLora): void {
  lora.consolidate();
  if (settingOf(name).hold !== "l2") return;
  for (const { module } of lora.config.modules) lora.getAdapter(module)?.learningBlock("fisher")?.fill(1);
}
