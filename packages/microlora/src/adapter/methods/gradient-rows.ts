import type { Pointer } from "../../kernels/contract.js";
import type { AdapterBlocks } from "../blocks.js";

/**
 * A whole gradient as rows, factor * x each, never materialised for one example: the rows of A have x = input, those of B
 * and the bias x = dLoss/dOutput. Of a micro-batch, the rows of the pending block.
 */
export class GradientRows {
  readonly count: number;
  /** Bytes from the start of a block in the parameters' layout. */
  readonly offset: Uint32Array;
  readonly length: Uint32Array;
  readonly x: Uint32Array;
  readonly factor: Float64Array;

  constructor({ shape: { rank, inFeatures, outFeatures, bias } }: AdapterBlocks) {
    this.count = 2 * rank + bias;
    this.offset = new Uint32Array(this.count);
    this.length = new Uint32Array(this.count);
    this.x = new Uint32Array(this.count);
    this.factor = new Float64Array(this.count);
    let offset = 0;
    for (let j = 0; j < this.count; j++) {
      this.offset[j] = offset;
      this.length[j] = j < rank ? inFeatures : outFeatures;
      offset += 4 * this.length[j]!;
    }
  }

  /** @param scale factor of the whole gradient */
  setExample(blocks: AdapterBlocks, f32: Float32Array, x: Pointer, g: Pointer, scaling: number, scale: number): void {
    const { rank } = blocks.shape;
    for (let j = 0; j < this.count; j++) {
      this.x[j] = j < rank ? x : g;
      const coefficient = j < rank ? blocks.v + 4 * j : blocks.u + 4 * (j - rank);
      this.factor[j] = j < 2 * rank ? scale * scaling * f32[coefficient >>> 2]! : scale;
    }
  }

  setPending(pending: Pointer, scale: number): void {
    for (let j = 0; j < this.count; j++) {
      this.x[j] = pending + this.offset[j]!;
      this.factor[j] = scale;
    }
  }
}
