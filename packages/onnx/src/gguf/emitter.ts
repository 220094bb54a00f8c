import { PART_OF_WEIGHT } from "../graft/sites.js";
import { type AttributeValue, GraphBuilder, toAttributes } from "../graph/builder.js";
import type { BlockMatrix, Matrix, Weights } from "./weights.js";

const MICROSOFT = "com.microsoft";

/** Writes nodes under paths of modules, as exporters do: `/model/layers.0/mlp/up_proj/MatMulNBits`. */
export class Emitter {
  readonly builder = new GraphBuilder("");
  readonly weights: Weights;
  readonly #accuracyLevel: number;
  /** Sums over the groups of a value, which several weights take. */
  readonly #sums = new Map<string, string>();

  /** @param accuracyLevel of MatMulNBits: 4 rounds activations to 8 bits in blocks, 1 computes in float32 */
  constructor(weights: Weights, accuracyLevel: 1 | 4) {
    this.weights = weights;
    this.#accuracyLevel = accuracyLevel;
  }

  /** Adds a node, and gives the names of its outputs. @param outputs how many, or which: an empty place is left out */
  nodes(
    path: string,
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    { domain = "", outputs = [0], isPart = false }: NodeOptions = {},
  ): readonly string[] {
    const name = `/${path.replace(/\.(?!\d)/g, "/")}/${op}`;
    const names = Array.from({ length: Math.max(...outputs) + 1 }, (_, i) =>
      outputs.includes(i) ? `${name}/output_${i}` : "",
    );
    const metadata = isPart ? { metadata: { [PART_OF_WEIGHT]: "offsets" } } : {};
    this.builder.add({ name, op, domain, inputs, outputs: names, attributes: toAttributes(attributes), ...metadata });
    return names;
  }

  node(...parts: Parameters<Emitter["nodes"]>): string {
    return this.nodes(...parts)[0]!;
  }

  /** y = x W^T, with W [out, in]. */
  project(path: string, x: string, weight: Matrix): string {
    if (weight.kind === "floats") {
      return this.node(path, "FusedMatMul", [x, weight.name], { transB: 1 }, { domain: MICROSOFT });
    }
    const { rows, columns, bits, size, codes, scales, offsets } = weight;
    const attributes = { K: columns, N: rows, bits, block_size: size, accuracy_level: this.#accuracyLevel };
    const product = this.node(path, "MatMulNBits", [x, codes, scales], attributes, { domain: MICROSOFT });
    if (offsets === undefined) return product;
    const sums = this.#sumsOf(x, columns / size, size);
    const extra = this.node(
      `${path}.offsets`,
      "FusedMatMul",
      [sums, offsets],
      { transB: 1 },
      { domain: MICROSOFT, isPart: true },
    );
    return this.node(`${path}.offsets`, "Add", [product, extra]);
  }

  /** Rows of a table by ids [batch, sequence]. */
  embed(path: string, ids: string, table: Matrix): string {
    if (table.kind === "floats") return this.node(path, "Gather", [table.name, ids], { axis: 0 });
    const { bits, size } = table;
    const attributes = { bits, block_size: size, gather_axis: 0, quantize_axis: 1 };
    const rows = this.node(path, "GatherBlockQuantized", [this.weights.tableOf(table), ids, table.scales], attributes, {
      domain: MICROSOFT,
    });
    return table.offsets === undefined ? rows : this.#withOffsets(path, rows, ids, table);
  }

  /** Adds the offset of each group to the embeddings. */
  #withOffsets(path: string, rows: string, ids: string, { columns, size, offsets }: BlockMatrix): string {
    const at = `${path}.offsets`;
    const found = this.node(at, "Gather", [offsets!, ids], { axis: 0 }, { isPart: true });
    const column = this.node(at, "Unsqueeze", [found, this.builder.ints(-1)]);
    const groups = this.node(`${at}.groups`, "Reshape", [rows, this.builder.ints(0, 0, columns / size, size)]);
    const sum = this.node(at, "Add", [groups, column]);
    return this.node(at, "Reshape", [sum, this.builder.ints(0, 0, columns)]);
  }

  /** Sums of x [batch, sequence, columns] over the groups of its columns: [batch, sequence, groups]. */
  #sumsOf(x: string, groups: number, size: number): string {
    const key = `${x} ${size}`;
    const known = this.#sums.get(key);
    if (known !== undefined) return known;
    const path = `${x.slice(1)}.sums_${size}`;
    const grouped = this.node(path, "Reshape", [x, this.builder.ints(0, 0, groups, size)]);
    const sums = this.node(path, "ReduceSum", [grouped, this.builder.ints(-1)], { keepdims: 0 });
    this.#sums.set(key, sums);
    return sums;
  }
}

interface NodeOptions {
  readonly domain?: string;
  /** Which outputs are taken. */
  readonly outputs?: readonly number[];
  readonly isPart?: boolean;
}
