/** Unit vectors in 8 bits each: row = scale * codes. A dot product with a unit query is a cosine, within 0.5 %. */
export class KeyRows {
  readonly width: number;
  #codes: Int8Array;
  #scales: Float32Array;
  #size = 0;

  constructor(width: number, capacity = 16) {
    this.width = width;
    this.#codes = new Int8Array(capacity * width);
    this.#scales = new Float32Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  /** Adds a vector of any length but zero, as the last row; a zero vector is alike to nothing. */
  push(vector: Float32Array): void {
    if (this.#size === this.#scales.length) this.#grow();
    const start = this.#size * this.width;
    let [largest, squares] = [0, 0];
    for (const value of vector) {
      largest = Math.max(largest, Math.abs(value));
      squares += value * value;
    }
    const step = largest / 127 || 1;
    let kept = 0;
    for (let i = 0; i < this.width; i++) {
      const code = Math.round(vector[i]! / step);
      this.#codes[start + i] = code;
      kept += code * code;
    }
    // Of the codes themselves, so that a row's product with itself is 1.
    this.#scales[this.#size] = squares === 0 ? 0 : 1 / Math.sqrt(kept);
    this.#size += 1;
  }

  /** Removes a row; the last row takes its place, and nothing of it stays in memory. */
  remove(row: number): void {
    const last = this.#size - 1;
    this.#codes.copyWithin(row * this.width, last * this.width, this.#size * this.width);
    this.#codes.fill(0, last * this.width, this.#size * this.width);
    this.#scales[row] = this.#scales[last]!;
    this.#scales[last] = 0;
    this.#size = last;
  }

  /** Cosines of a query with every row. @param query of unit length @param out [size] */
  cosines(query: Float32Array, out: Float32Array): Float32Array {
    for (let row = 0, at = 0; row < this.#size; row++) {
      let sum = 0;
      for (let i = 0; i < this.width; i++, at++) sum += query[i]! * this.#codes[at]!;
      out[row] = sum * this.#scales[row]!;
    }
    return out;
  }

  /** The codes of a row, a view. */
  codesOf(row: number): Int8Array {
    return this.#codes.subarray(row * this.width, (row + 1) * this.width);
  }

  #grow(): void {
    const codes = new Int8Array(2 * this.#codes.length);
    codes.set(this.#codes);
    const scales = new Float32Array(2 * this.#scales.length);
    scales.set(this.#scales);
    [this.#codes, this.#scales] = [codes, scales];
  }
}

/** A vector of unit length; zeros stay zeros. */
export function unit(vector: Float32Array, center?: Float32Array): Float32Array {
  const out = Float32Array.from(vector, (value, i) => value - (center?.[i] ?? 0));
  const length = Math.sqrt(out.reduce((sum, value) => sum + value * value, 0)) || 1;
  return out.map((value) => value / length);
}
