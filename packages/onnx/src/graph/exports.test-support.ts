import { readFileSync } from "node:fs";
import { type Dense, dense } from "./elements/dense.js";
import type { Model } from "./ir.js";
import { checkExternalData } from "./serde/external.js";
import { readModel } from "./serde/read.js";
import { memorySource } from "./serde/source.js";

/** Exports of tiny transformers that are committed: folders of `fixtures`. */
export const EXPORTS = ["bert-legacy", "gpt2-legacy", "llama-dynamo"] as const;

/** An export, all of it in memory. */
export function exported(name: (typeof EXPORTS)[number]): Model {
  const file = (end: string) => new URL(`../../fixtures/${name}/model.onnx${end}`, import.meta.url);
  const open = () => memorySource(readFileSync(file(".data")));
  return checkExternalData(readModel(readFileSync(file(""))), open, Number.POSITIVE_INFINITY);
}

/** Tokens, a mask of ones, and token types of zero. */
export function tokenFeeds({ graph }: Model, rows: number, length: number): Map<string, Dense> {
  const values: { readonly [input: string]: (index: number) => number } = {
    input_ids: (index) => (7 * index + 3) % 99,
    attention_mask: () => 1,
    token_type_ids: () => 0,
  };
  return new Map(
    graph.inputs.map(({ name, type }) => [
      name,
      dense(
        type!.dtype,
        [rows, length],
        Array.from({ length: rows * length }, (_, index) => values[name]!(index)),
      ),
    ]),
  );
}
