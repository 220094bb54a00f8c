import { operationOf, termsOf } from "../dim.js";
import type { Dense } from "../elements/dense.js";
import type { Dim } from "../ir.js";
import type { Inferred } from "./infer.js";

/** What an expression is for given symbols; undefined if it holds others. */
function sizeOf(dim: Dim, sizes: ReadonlyMap<string, number>): number | undefined {
  if (typeof dim === "number") return dim;
  let sum = 0;
  for (const { coefficient, atoms } of termsOf(dim)) {
    const values = atoms.map((atom) => sizes.get(atom) ?? sizeOfCall(atom, sizes));
    if (!values.every((value) => value !== undefined)) return undefined;
    sum += values.reduce((product, value) => product * value, coefficient);
  }
  return sum;
}

const CALLS: { readonly [name: string]: (a: number, b: number) => number } = {
  div: (a, b) => Math.trunc(a / b),
  mod: (a, b) => a % b,
  min: Math.min,
  max: Math.max,
  broadcast: (a, b) => (a === 1 ? b : a),
};

function sizeOfCall(atom: string, sizes: ReadonlyMap<string, number>): number | undefined {
  const operation = operationOf(atom);
  const [a, b] = operation?.operands.map((operand) => sizeOf(operand, sizes)) ?? [];
  return a === undefined || b === undefined ? undefined : CALLS[operation!.name]!(a, b);
}

/** Everything that was inferred and that a run contradicts. A symbol of no input is what it is where it comes first. */
export function contradictions({ graph, known }: Inferred, run: ReadonlyMap<string, Dense>): string[] {
  const sizes = new Map<string, number>();
  const wrong: string[] = [];
  const check = (what: string, dim: Dim | undefined, seen: number) => {
    if (dim === undefined) return;
    const size = sizeOf(dim, sizes);
    if (size === undefined && isSymbol(dim)) sizes.set(dim, seen);
    else if (size !== undefined && size !== seen) wrong.push(`${what}: ${dim} is ${size}, but was ${seen}`);
  };
  const names = new Set([...graph.inputs.map(({ name }) => name), ...run.keys()]);
  for (const name of names) {
    const value = run.get(name)!;
    const type = graph.types.get(name);
    if (type && type.dtype !== value.dtype) wrong.push(`${name}: ${type.dtype}, but was ${value.dtype}`);
    if (type?.shape && type.shape.length !== value.dims.length) wrong.push(`${name}: rank ${type.shape.length}`);
    else for (const [axis, dim] of type?.shape?.entries() ?? []) check(`${name}:${axis}`, dim, value.dims[axis]!);
    const elements = known.get(name);
    if (elements && `${elements.dims}` !== `${value.dims}`) wrong.push(`${name} has [${value.dims}] elements`);
    for (const [index, each] of elements?.data.entries() ?? []) check(`${name}[${index}]`, each, value.data[index]!);
  }
  return wrong;
}

/** Whether an expression is one symbol alone. */
function isSymbol(dim: Dim): dim is string {
  const [term, ...others] = termsOf(dim);
  return others.length === 0 && term?.coefficient === 1 && term.atoms.length === 1 && !operationOf(term.atoms[0]!);
}
