import type { AdapterKernels, AdapterShape, Kernels, Pointer } from "./contract.js";

/**
 * The kernels in plain TypeScript: sums in double, rounded once when stored.
 * They are the oracle of the WebAssembly builds and stand in where the engine has no SIMD.
 */
export function createScalarKernels(memory: { readonly buffer: ArrayBufferLike }): Kernels {
  const f32 = new Float32Array(memory.buffer);
  const u32 = new Uint32Array(memory.buffer);
  const at = (pointer: Pointer, index: number): number => f32[(pointer >>> 2) + index] as number;
  const bitsAt = (pointer: Pointer, index: number): number => u32[(pointer >>> 2) + index] as number;
  const put = (pointer: Pointer, index: number, value: number): void => {
    f32[(pointer >>> 2) + index] = value;
  };

  function project(a: Pointer, x: Pointer, u: Pointer, rows: number, n: number): void {
    for (let j = 0; j < rows; j++) {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += at(x, i) * at(a, j * n + i);
      put(u, j, sum);
    }
  }

  function allFinite(u: Pointer, n: number): boolean {
    for (let j = 0; j < n; j++) if (!Number.isFinite(at(u, j))) return false;
    return true;
  }

  /** sum_j c[j * stride] * b[j, i] */
  function mixed(c: Pointer, stride: number, b: Pointer, rows: number, n: number, i: number): number {
    let sum = 0;
    for (let j = 0; j < rows; j++) sum += at(c, j * stride) * at(b, j * n + i);
    return sum;
  }

  function sumSquares(x: Pointer, n: number): number {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += at(x, i) ** 2;
    return sum;
  }

  /** w[i] <- w[i] - rate * g - min(penalty * fisher[i], 1) * (w[i] - anchor[i]), the penalty skipped if fisher = 0 */
  function descend(
    w: Pointer,
    i: number,
    g: number,
    rate: number,
    fisher: Pointer,
    anchor: Pointer,
    penalty: number,
  ): void {
    const old = at(w, i);
    const pull = fisher === 0 ? 0 : Math.min(penalty * at(fisher, i), 1) * (old - at(anchor, i));
    put(w, i, old - rate * g - pull);
  }

  /** fisher[i] <- decay * fisher[i] + (1 - decay) * g^2 */
  function track(fisher: Pointer, i: number, g: number, decay: number): void {
    put(fisher, i, decay * at(fisher, i) + (1 - decay) * g * g);
  }

  function forShape({ rank, inFeatures, outFeatures, bias }: AdapterShape): AdapterKernels {
    const offsetB = 4 * rank * inFeatures;
    const offsetBias = offsetB + 4 * rank * outFeatures;

    const deltaAt = (w: Pointer, u: Pointer, scaling: number, i: number): number =>
      scaling * mixed(u, 1, w + offsetB, rank, outFeatures, i) + (bias ? at(w + offsetBias, i) : 0);

    function tryProject(w: Pointer, x: Pointer, u: Pointer): boolean {
      project(w, x, u, rank, inFeatures);
      return allFinite(u, rank);
    }

    function set(w: Pointer, u: Pointer, y: Pointer, scaling: number): void {
      for (let i = 0; i < outFeatures; i++) put(y, i, deltaAt(w, u, scaling, i));
    }

    function add(w: Pointer, u: Pointer, y: Pointer, scaling: number): void {
      for (let i = 0; i < outFeatures; i++) put(y, i, at(y, i) + deltaAt(w, u, scaling, i));
    }

    const step: AdapterKernels["step"] = (w, x, g, u, v, scaling, rate, running, decay, fisher, anchor, penalty) => {
      /** One row of parameters from element `offset` on, whose gradient is c * from. */
      const row = (offset: number, from: Pointer, n: number, c: number): void => {
        for (let i = 0; i < n; i++) {
          const gradient = c * at(from, i);
          if (running !== 0) track(running, offset + i, gradient, decay);
          descend(w, offset + i, gradient, rate, fisher, anchor, penalty);
        }
      };
      for (let j = 0; j < rank; j++) row(j * inFeatures, x, inFeatures, scaling * at(v, j));
      for (let j = 0; j < rank; j++) row(offsetB / 4 + j * outFeatures, g, outFeatures, scaling * at(u, j));
      if (bias) row(offsetBias / 4, g, outFeatures, 1);
    };

    return {
      forward(w, x, u, y, scaling) {
        if (!tryProject(w, x, u)) return 0;
        set(w, u, y, scaling);
        return 1;
      },
      forwardAdd(w, x, u, y, scaling) {
        if (!tryProject(w, x, u)) return 0;
        add(w, u, y, scaling);
        return 1;
      },
      forwardBatch(w, x, u, y, rows, scaling) {
        for (let i = 0; i < rows; i++) {
          if (!tryProject(w, x + 4 * i * inFeatures, u + 4 * i * rank)) return i;
        }
        for (let i = 0; i < rows; i++) set(w, u + 4 * i * rank, y + 4 * i * outFeatures, scaling);
        return -1;
      },
      forwardEach(table, x, u, y, rows) {
        for (let i = 0; i < rows; i++) {
          const w = bitsAt(table, 2 * i);
          if (w !== 0 && !tryProject(w, x + 4 * i * inFeatures, u + 4 * i * rank)) return i;
        }
        for (let i = 0; i < rows; i++) {
          const w = bitsAt(table, 2 * i);
          if (w !== 0) add(w, u + 4 * i * rank, y + 4 * i * outFeatures, at(table, 2 * i + 1));
        }
        return -1;
      },
      measure(w, x, g, u, v, norms, hasU) {
        if (!hasU) project(w, x, u, rank, inFeatures);
        project(w + offsetB, g, v, rank, outFeatures);
        put(norms, 0, sumSquares(x, inFeatures));
        put(norms, 1, sumSquares(g, outFeatures));
      },
      step,
      accumulate(pending, x, g, u, v, scaling, reward, running, decay) {
        step(pending, x, g, u, v, scaling, -reward, running, decay, 0, 0, 0);
      },
    };
  }

  return {
    name: "scalar",
    forShape,
    project,
    sumSquares,
    expandAdd(c, b, y, rows, n) {
      for (let i = 0; i < n; i++) put(y, i, at(y, i) + mixed(c, 1, b, rows, n, i));
    },
    merge(y, rows, cols, coef, coefStride, basis, rank, scaling) {
      for (let i = 0; i < rows; i++) {
        for (let k = 0; k < cols; k++) {
          const delta = mixed(coef + 4 * i, coefStride, basis, rank, cols, k);
          put(y, i * cols + k, at(y, i * cols + k) + scaling * delta);
        }
      }
    },
    apply(w, g, n, rate) {
      for (let i = 0; i < n; i++) descend(w, i, at(g, i), rate, 0, 0, 0);
    },
    applyEwc(w, g, fisher, anchor, n, rate, penalty) {
      for (let i = 0; i < n; i++) descend(w, i, at(g, i), rate, fisher, anchor, penalty);
    },
    updateFisher(fisher, g, n, decay) {
      for (let i = 0; i < n; i++) track(fisher, i, at(g, i), decay);
    },
    maxAbs(x, n) {
      let max = 0;
      for (let i = 0; i < n; i++) max = Math.max(max, Math.abs(at(x, i)));
      return max;
    },
    fingerprint(x, n) {
      const lanes = Array.from({ length: 16 }, (_, lane) => lane + 1);
      const whole = n - (n % 16);
      for (let i = 0; i < whole; i++) lanes[i % 16] = rotated(lanes[i % 16] as number, bitsAt(x, i));
      let hash = n;
      for (let i = whole; i < n; i++) hash = hashed(hash, bitsAt(x, i));
      return lanes.reduce(hashed, hash);
    },
  };
}

/** For given bits a bijection of the hash, and the other way round: one element that changes, changes the result. */
function rotated(hash: number, bits: number): number {
  return (((hash << 5) | (hash >>> 27)) + bits) | 0;
}

/** As `rotated`, and every bit of the result depends on all lower ones. */
function hashed(hash: number, bits: number): number {
  const product = Math.imul(hash ^ bits, 0x9e3779b1);
  return product ^ (product >>> 15);
}
