import type { LearningKernels } from "./learning-contract.js";

const LEAST_NORMAL = 2 ** -126;

/** `LearningKernels` in plain TypeScript: computed in double, rounded once when stored. */
export function createScalarLearningKernels(memory: { readonly buffer: ArrayBufferLike }): LearningKernels {
  const f32 = new Float32Array(memory.buffer);
  const at = (pointer: number, i: number): number => f32[(pointer >>> 2) + i] as number;
  const put = (pointer: number, i: number, value: number): void => {
    f32[(pointer >>> 2) + i] = value;
  };
  const flushed = (value: number): number => (Math.abs(value) >= LEAST_NORMAL ? value : 0);

  return {
    momentum(w, m, x, n, factor, beta, rate) {
      for (let i = 0; i < n; i++) {
        const moved = flushed(beta * at(m, i) + factor * at(x, i));
        put(m, i, moved);
        put(w, i, at(w, i) - rate * moved);
      }
    },
    adam(w, m, s, x, n, factor, beta1, beta2, rate, root, epsilon, keep) {
      for (let i = 0; i < n; i++) {
        const g = factor * at(x, i);
        const first = flushed(beta1 * at(m, i) + (1 - beta1) * g);
        const second = flushed(beta2 * at(s, i) + (1 - beta2) * g * g);
        put(m, i, first);
        put(s, i, second);
        put(w, i, keep * at(w, i) - (rate * first) / (root * Math.sqrt(second) + epsilon));
      }
    },
    walk(score, fisher, w, old, x, n, factor, epsilon) {
      for (let i = 0; i < n; i++) {
        const moved = at(w, i) - at(old, i);
        const gain = Math.max(0, -factor * at(x, i) * moved);
        put(score, i, at(score, i) + gain / ((at(fisher, i) * moved * moved) / 2 + epsilon));
      }
    },
    multiply(y, a, b, n) {
      for (let i = 0; i < n; i++) put(y, i, at(a, i) * at(b, i));
    },
  };
}
