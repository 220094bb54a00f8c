import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import type { Dense } from "./elements/dense.js";
import { dense } from "./elements/dense.js";
import type { DType, Model } from "./ir.js";
import { readModel } from "./serde/read.js";

/** One of the ONNX project's own tests of an operator; `fixtures/operators.py` collects them. */
export interface OperatorCase {
  readonly name: string;
  readonly model: Model;
  readonly inputs: ReadonlyMap<string, Dense>;
  readonly outputs: ReadonlyMap<string, Dense>;
}

interface Line {
  readonly name: string;
  readonly model: string;
  readonly inputs: Readonly<Record<string, Values>>;
  readonly outputs: Readonly<Record<string, Values>>;
}

interface Values {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: readonly (number | boolean | string)[];
}

export function operatorCases(): OperatorCase[] {
  const bytes = readFileSync(new URL("../../fixtures/operators.jsonl.gz", import.meta.url));
  const lines = gunzipSync(bytes).toString().trimEnd().split("\n").slice(1);
  return lines.map((line) => {
    const { name, model, inputs, outputs } = JSON.parse(line) as Line;
    return {
      name,
      model: readModel(Buffer.from(model, "base64")),
      inputs: valuesOf(inputs),
      outputs: valuesOf(outputs),
    };
  });
}

function valuesOf(values: Readonly<Record<string, Values>>): Map<string, Dense> {
  return new Map(
    Object.entries(values).map(([name, { dtype, dims, data }]) => [name, dense(dtype, dims, data.map(numberOf))]),
  );
}

/** JSON has no infinities; the script writes them as Python does. */
function numberOf(value: number | boolean | string): number {
  return typeof value === "string" ? Number(value.replace("inf", "Infinity")) : Number(value);
}
