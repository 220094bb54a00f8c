import { Personalizer, type PersonalizerConfig, pageHinkley } from "microlora";
import { endTask, learningOf } from "../holding.js";
import type { Knobs } from "../knobs.js";
import { type SettingName, settingOf } from "../settings.js";

/** What a problem gives every learner on it, whatever the setting. */
export interface QueryBasis {
  readonly dimensions: number;
  readonly temperature: number;
  /** What the slow weights' A starts from, one row a rank. */
  readonly directions: readonly Float32Array[];
  /** scaling = alpha / rank. */
  readonly scaling: number;
  /** Bytes for kept clicks. */
  readonly recallBytes: number;
  /** Results that a user sees at most. */
  readonly shown: number;
}

/** Clicks that replay keeps, whatever they take; each is kept with the vectors of all that was shown. */
const REPLAYED = 32;

/** A personalizer; beside recall, the temperature is the library's own, as recall's other settings are. */
export async function createPersonalizer(
  name: SettingName,
  basis: QueryBasis,
  knobs: Knobs,
  seed: number,
): Promise<Personalizer> {
  const { dimensions, temperature, directions, scaling, recallBytes } = basis;
  const { slow, recall, roomy, gated = false, asItComes } = settingOf(name);
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
    slow: shape !== null && { ...shape, bias: true, gated, ...learningOf(name, knobs) },
    recall: recall === true && (roomy === true ? {} : { rows: Math.floor(recallBytes / (3 * dimensions + 4)) }),
    learning: aroundUpdates(name, basis),
  });
}

function aroundUpdates(
  name: SettingName,
  { shown, dimensions }: QueryBasis,
): NonNullable<PersonalizerConfig["learning"]> {
  const { replay, detected, guarded } = settingOf(name);
  return {
    ...(replay === true && { replay: { bytes: REPLAYED * (shown + 3) * dimensions * Float32Array.BYTES_PER_ELEMENT } }),
    ...(detected === true && { boundary: pageHinkley() }),
    ...(guarded === true && { guard: { share: 4, every: 32 } }),
  };
}

/** Ends a task for the slow weights, if there are any and they are to be told. */
export function endSession(name: SettingName, { slow }: Personalizer): void {
  if (slow !== null && settingOf(name).detected === undefined) endTask(name, slow);
}
