import { operationOf, termsOf } from "./dim.js";
import type { Dim, TensorType } from "./ir.js";

/** The shape of a value for a batch of one text of one token; undefined if it is not known. */
export type ShapeOfOne = (value: string) => readonly number[] | undefined;

/** The size that an expression has for these sizes of symbols; undefined if one of them is not known. */
export function sizeAt(dim: Dim, symbols: ReadonlyMap<string, number>): number | undefined {
  if (typeof dim === "number") return dim;
  let total = 0;
  for (const { coefficient, atoms } of termsOf(dim)) {
    let product = coefficient;
    for (const atom of atoms) {
      const value = symbols.get(atom) ?? callAt(atom, symbols);
      if (value === undefined) return undefined;
      product *= value;
    }
    total += product;
  }
  return total;
}

const OPERATIONS: Readonly<Record<string, (a: number, b: number) => number>> = {
  div: (a, b) => Math.trunc(a / b),
  mod: (a, b) => a % b,
  min: Math.min,
  max: Math.max,
  broadcast: Math.max,
};

function callAt(atom: string, symbols: ReadonlyMap<string, number>): number | undefined {
  const operation = operationOf(atom);
  const [a, b] = operation?.operands.map((operand) => sizeAt(operand, symbols)) ?? [];
  return operation && a !== undefined && b !== undefined ? OPERATIONS[operation.name]?.(a, b) : undefined;
}

/** Shapes for a batch of one text of one token: every symbol is 1. */
export function shapesOfOne(types: ReadonlyMap<string, TensorType>): ShapeOfOne {
  const ones = { get: () => 1 } as unknown as ReadonlyMap<string, number>;
  return (value) => {
    const sizes = types.get(value)?.shape?.map((dim) => sizeAt(dim, ones));
    return sizes?.every((size) => size !== undefined) ? (sizes as readonly number[]) : undefined;
  };
}
