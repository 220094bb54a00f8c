export { readElements, readModelFile } from "./graph/serde/node.js";
export * from "./index.js";
export { openModel } from "./session/node.js";
