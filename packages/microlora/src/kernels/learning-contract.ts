import type { Pointer } from "./contract.js";

/**
 * The kernels that only some ways of learning need, so a module of their own: `learning-scalar.ts` and the two builds of
 * `assembly/learning.ts`. Each works on n parameters whose gradient is factor * x, which is never materialised. What falls
 * below the least normal float32 in a state that decays becomes 0: denormals are slow.
 */
export interface LearningKernels {
  /** m <- beta * m + factor * x; w <- w - rate * m. */
  momentum(w: Pointer, m: Pointer, x: Pointer, n: number, factor: number, beta: number, rate: number): void;

  /**
   * With g = factor * x: m <- beta1 * m + (1 - beta1) * g; s <- beta2 * s + (1 - beta2) * g^2;
   * w <- keep * w - rate * m / (root * sqrt(s) + epsilon).
   * @param rate with the correction of m's bias; @param root the correction of sqrt(s); @param keep 1 - weight decay
   */
  adam(
    w: Pointer,
    m: Pointer,
    s: Pointer,
    x: Pointer,
    n: number,
    factor: number,
    beta1: number,
    beta2: number,
    rate: number,
    root: number,
    epsilon: number,
    keep: number,
  ): void;

  /**
   * With d = w - old: score <- score + max(0, -factor * x * d) / (fisher * d^2 / 2 + epsilon).
   */
  walk(
    score: Pointer,
    fisher: Pointer,
    w: Pointer,
    old: Pointer,
    x: Pointer,
    n: number,
    factor: number,
    epsilon: number,
  ): void;

  /** y <- a * b, element by element; y may be a or b. */
  multiply(y: Pointer, a: Pointer, b: Pointer, n: number): void;
}
