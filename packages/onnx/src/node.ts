export { readElements, readModelFile } from "./graph/serde/node.js";
export * from "./index.js";
export { mergeIntoModel } from "./merge/node.js";
export { openModel } from "./session/node.js";
