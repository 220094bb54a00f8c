/** What a `Learner` is made of, for those who make one of their own, as `@microlora/onnx` does for whole models. */

export { NEGLIGIBLE } from "./adapter/learning.js";
export { type Body, corrupt } from "./checkpoint/container.js";
export { array, count, record } from "./checkpoint/fields.js";
export { decodeSafeguarded, encodeSafeguarded, type SafeguardedState } from "./checkpoint/safeguarded.js";
export type { ExampleFormat, SafeguardsState } from "./checkpoint/safeguards-state.js";
export { type Capacity, capacityOf } from "./learn/capacity.js";
export type { Check, Holding } from "./learn/guard.js";
export { boundaryOf, resolveLearner, type SafeguardsConfig } from "./learn/learner-config.js";
export type { Keeping } from "./learn/replay.js";
export { isOverflow, Safeguards } from "./safeguards.js";
