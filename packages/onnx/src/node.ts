export { openFile, readElements, readModelFile } from "./graph/serde/node.js";
export * from "./index.js";
export { type MergeBase, type MergeReport, type MergeSource, mergeIntoModel } from "./merge/node.js";
export type { MergedModule } from "./merge/plan.js";
export type { LowRankChange } from "./merge/product.js";
export { openModel } from "./model/node.js";
export { folderCache } from "./train/node.js";
