import { EmbeddingIndex, Personalizer } from "microlora";
import { endTask, learningOf } from "./holding.js";
import type { Knobs } from "./knobs.js";
import { type SettingName, settingOf } from "./settings.js";

/** What a problem gives every learner on it, whatever the setting. */
export interface PersonalizerBasis {
  readonly dimensions: number;
  readonly temperature: number;
  /** What the slow weights' A starts from, one row a rank. */
  readonly directions: readonly Float32Array[];
  /** scaling = alpha / rank. */
  readonly scaling: number;
  /** Bytes for kept clicks. */
  readonly recallBytes: number;
}

/** A personalizer that has learned nothing yet; null for the base, which never will. */
export async function createPersonalizer(
  name: SettingName,
  { dimensions, temperature, directions, scaling, recallBytes }: PersonalizerBasis,
  knobs: Knobs,
  seed: number,
): Promise<Personalizer> {
  const { slow, recall } = settingOf(name);
  const shape = {
    none: null,
    offset: { directions: [new Float32Array(dimensions)], alpha: 1 },
    lora: { directions, alpha: scaling * directions.length },
  }[slow];
  return Personalizer.create({
    dimensions,
    temperature,
    seed,
    slow: shape !== null && { ...shape, bias: true, ...learningOf(name, knobs) },
    recall: recall === true && { bytes: recallBytes },
  });
}

/** Ends a task for the slow weights, if there are any. */
export function endSession(name: SettingName, { slow }: Personalizer): void {
  if (slow !== null) endTask(name, slow);
}

/** The directions in which queries lie, which know nothing of any user. @param reach root mean square of |x A| over them */
export async function directionsFor(
  queries: readonly Float32Array[],
  rank: number,
  reach: number,
): Promise<Float32Array[]> {
  using index = await EmbeddingIndex.create(queries.map((vector, row) => [row, vector] as const));
  const directions = index.directions(rank);
  let squares = 0;
  for (const query of queries) {
    for (const direction of directions) squares += query.reduce((sum, x, i) => sum + x * direction[i]!, 0) ** 2;
  }
  const scale = reach / Math.sqrt(squares / queries.length);
  return directions.map((direction) => direction.map((value) => scale * value));
}
