/** Parts of a `Learner`, for a learner that waits for its losses: `ModelLearner` of `@microlora/onnx`. */

export { type Capacity, capacityOf } from "./adapter/capacity.js";
export { allowGradients, learnFromGradients } from "./adapter/learn-from-gradients.js";
export { type Body, corrupt } from "./checkpoint/container.js";
export { array, count, record } from "./checkpoint/fields.js";
export { decodeSafeguarded, encodeSafeguarded, type SafeguardedState } from "./learner/codec-model-learner.js";
export type { ExampleFormat, SafeguardsState } from "./learner/codec-safeguards.js";
export { boundaryOf, resolveLearner, type SafeguardsConfig } from "./learner/config.js";
export { type Ask, driveAsync, type ExampleKind, type Measured, UpdateCycle } from "./learner/cycle.js";
