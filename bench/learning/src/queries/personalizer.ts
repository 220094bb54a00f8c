import { Personalizer } from "microlora";
import { learningOf } from "../holding.js";
import type { Knobs } from "../knobs.js";
import { type SettingName, settingOf } from "../settings.js";
import type { QueryBasis } from "./query-learner.js";

/** A personalizer; beside recall, the temperature is the library's own, as recall's other settings are. */
export async function createPersonalizer(
  name: SettingName,
  { dimensions, temperature, directions, scaling, recallBytes }: QueryBasis,
  knobs: Knobs,
  seed: number,
): Promise<Personalizer> {
  const { slow, recall, asItComes } = settingOf(name);
  if (asItComes === true) return Personalizer.create({ dimensions, seed });
  const shape = {
    none: null,
    offset: { directions: [new Float32Array(dimensions)], alpha: 1 },
    lora: { directions, alpha: scaling * directions.length },
  }[slow];
  return Personalizer.create({
    dimensions,
    seed,
    ...(recall === undefined && { temperature }),
    slow: shape !== null && { ...shape, bias: true, ...learningOf(name, knobs) },
    recall: recall === true && { bytes: recallBytes },
  });
}
