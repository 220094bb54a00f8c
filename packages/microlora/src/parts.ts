/// <reference lib="esnext.disposable" preserve="true" />

/** What a `Learner` is made of, for those who make one of their own, as `@microlora/onnx` does for whole models. */

export { NEGLIGIBLE } from "./adapter/learning.js";
export { type Capacity, capacityOf } from "./learn/capacity.js";
export type { Check, Holding } from "./learn/guard.js";
export { resolveLearner } from "./learn/learner-config.js";
export type { Keeping } from "./learn/replay.js";
export { isOverflow, Safeguards } from "./safeguards.js";
