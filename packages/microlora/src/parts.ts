/// <reference lib="esnext.disposable" preserve="true" />

/** What a `Learner` is made of, for those who make one of their own, as `@microlora/onnx` does for whole models. */

export { NEGLIGIBLE } from "./adapter/learning.js";
export { History } from "./history.js";
export { type Capacity, capacityOf, DeltaLimit } from "./learn/capacity.js";
export { type Check, Guard, type Holding } from "./learn/guard.js";
export { resolveLearner } from "./learn/learner-config.js";
export { type Keeping, Replay } from "./learn/replay.js";
