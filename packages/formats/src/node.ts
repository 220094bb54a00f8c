export { fileError, kindOfPath, refuseLookalikeFile } from "./base/node.js";
export { mergeGguf } from "./gguf/merge/node.js";
export { readBaseModel } from "./gguf/node.js";
export { mergeSafetensors } from "./merge/node.js";
export { ModelTensors } from "./model/node.js";
export type { MergeReport } from "./picture/merge-report.js";
export { type ReadAdapter, type ReadOptions, readAdapter } from "./read/node.js";
export { SafetensorsReader } from "./safetensors/node.js";
export { type WriteOptions, writeAdapter } from "./write/node.js";
