// The exports of both builds; `../src/kernels/wasm.ts` gives them the contract's shape.

export { forward, forwardAdd, forwardEach, measure, step } from "./adapter";
export { forwardBatch } from "./batch";
export { apply, applyEwc, expandAdd, fingerprint, maxAbs, merge, project, sumSquares, updateFisher } from "./vector";
