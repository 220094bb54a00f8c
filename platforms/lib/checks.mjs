/** Fingerprints of the packaged weights, the same wherever they run. */
export const FINGERPRINTS = {
  128: "static-wordpiece-1:30522x128:a1bff1c6",
  256: "static-wordpiece-1:30522x256:0b54ba05",
};

/** What is wrong with an outcome of `shared/search.js`; undefined if nothing is. */
export function faultOf(outcome, { dimensions = 256, kernels = /^(relaxed|simd)$/ } = {}) {
  if (outcome?.error !== undefined) return `${outcome.error.name} ${outcome.error.code}: ${outcome.error.message}`;
  const { before, after, fingerprint, isLoaded, isSame } = outcome ?? {};
  if (!(before > 1 && after === 1)) return `the chosen document went from place ${before} to ${after}`;
  if (outcome.dimensions !== dimensions || fingerprint !== FINGERPRINTS[dimensions])
    return `embedder is ${fingerprint}`;
  if (!isLoaded) return "onProgress was not told that all had arrived";
  if (!isSame) return "the saved state answers differently";
  if (!kernels.test(outcome.kernels)) return `the kernels are "${outcome.kernels}", not ${kernels}`;
  return undefined;
}
