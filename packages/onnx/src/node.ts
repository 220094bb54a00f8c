export { readElements, readModelFile } from "./graph/serde/node.js";
export * from "./index.js";
export { type MergeBase, type MergeSource, mergeIntoModel } from "./merge/node.js";
export type { LowRankChange } from "./merge/plan.js";
export { folderCache, openModel } from "./session/node.js";
