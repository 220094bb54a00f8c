// The exports of both builds; `../src/kernels/wasm.ts` gives them the contract's shape.

export { forward, forwardAdd, forwardBatch, forwardEach, measure, step } from "./adapter";
export { apply, applyEwc, expandAdd, fingerprint, maxAbs, merge, project, sumSquares, updateFisher } from "./vector";
