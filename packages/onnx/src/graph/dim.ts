import type { Dim } from "./ir.js";

/**
 * Sizes as polynomials with integer coefficients over symbols, in one canonical spelling: terms of higher degree first, then
 * by name; `2*batch*seq + past - 1`. Anything else becomes a symbol of its own, named by its formula:
 * `div(a, b)` (truncated), `mod(a, b)`, `min(a, b)`, `max(a, b)`, `broadcast(a, b)`. Symbols are sizes, never negative.
 */

/**
 * A size's name as a symbol that expressions can hold: as it is if it is one word, in brackets otherwise. A sum of words
 * (`past_sequence_length + sequence_length`, as optimum names the length of a mask) is taken at its word.
 */
export function symbol(name: string): string {
  if (/^[A-Za-z_]\w*( \+ [A-Za-z_]\w*)+$/.test(name)) return `${name.split(" + ").reduce<Dim>(addDims, 0)}`;
  return /^[A-Za-z_]\w*$/.test(name) ? name : `[${name.replace(/[[\]]/g, "_")}]`;
}

/** The symbol for the rank of an adapter. No file has one: its names are put into brackets. */
export function rankSymbol(index: number): string {
  return `rank.${index}`;
}

/** Whether a size is a rank, and so smaller than the widths of layers. */
export function isRank(dim: Dim): boolean {
  return typeof dim === "string" && dim.startsWith("rank.");
}

/** Coefficient by monomial; a monomial is its sorted atoms joined by "*", "" for the constant term. */
type Polynomial = ReadonlyMap<string, number>;

const parsed = new Map<string, Polynomial>();
const MOST_PARSED = 20_000;

function parse(dim: Dim): Polynomial {
  if (typeof dim === "number") return new Map(dim === 0 ? [] : [["", dim]]);
  let polynomial = parsed.get(dim);
  if (polynomial === undefined) {
    polynomial = parseTerms(dim);
    if (parsed.size >= MOST_PARSED) parsed.clear();
    parsed.set(dim, polynomial);
  }
  return polynomial;
}

function parseTerms(text: string): Polynomial {
  const terms = new Map<string, number>();
  for (const sum of splitOutside(text, " + ")) {
    for (const [index, term] of splitOutside(sum, " - ").entries()) {
      const isNegative = index > 0 || term.startsWith("-");
      const factors = splitOutside(term.startsWith("-") ? term.slice(1) : term, "*");
      const hasNumber = /^\d+$/.test(factors[0]!);
      const size = hasNumber ? Number(factors[0]) : 1;
      terms.set((hasNumber ? factors.slice(1) : factors).join("*"), isNegative ? -size : size);
    }
  }
  return terms;
}

/** Splits a text where the separator is not within brackets or parentheses. */
function splitOutside(text: string, separator: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (character === "(" || character === "[") depth++;
    else if (character === ")" || character === "]") depth--;
    else if (depth === 0 && text.startsWith(separator, at)) {
      parts.push(text.slice(start, at));
      start = at + separator.length;
      at = start - 1;
    }
  }
  return [...parts, text.slice(start)];
}

function format(polynomial: Polynomial): Dim {
  const terms = [...polynomial].filter(([, coefficient]) => coefficient !== 0);
  if (terms.every(([monomial]) => monomial === "")) return terms[0]?.[1] ?? 0;
  terms.sort(([a], [b]) => order(a, b));
  return terms.reduce((text, [monomial, coefficient], index) => {
    const size = Math.abs(coefficient);
    const term = monomial === "" ? `${size}` : size === 1 ? monomial : `${size}*${monomial}`;
    if (index === 0) return coefficient < 0 ? `-${term}` : term;
    return `${text} ${coefficient < 0 ? "-" : "+"} ${term}`;
  }, "");
}

/** Higher degrees first, then by the names: a monomial order, so that division by the leading term ends. */
function order(a: string, b: string): number {
  const [first, second] = [atomsOf(a), atomsOf(b)];
  if (first.length !== second.length) return second.length - first.length;
  for (const [index, atom] of first.entries()) if (atom !== second[index]) return atom < second[index]! ? -1 : 1;
  return 0;
}

function atomsOf(monomial: string): string[] {
  return monomial === "" ? [] : splitOutside(monomial, "*");
}

function combine(a: Polynomial, b: Polynomial, factor: number): Polynomial {
  const sum = new Map(a);
  for (const [monomial, coefficient] of b) {
    const total = (sum.get(monomial) ?? 0) + factor * coefficient;
    if (total === 0) sum.delete(monomial);
    else sum.set(monomial, total);
  }
  return sum;
}

function product(a: Polynomial, b: Polynomial): Polynomial {
  let sum: Polynomial = new Map();
  for (const [left, x] of a) {
    for (const [right, y] of b) {
      const atoms = [...atomsOf(left), ...atomsOf(right)].sort();
      sum = combine(sum, new Map([[atoms.join("*"), x * y]]), 1);
    }
  }
  return sum;
}

export function addDims(a: Dim, b: Dim): Dim {
  return typeof a === "number" && typeof b === "number" ? a + b : format(combine(parse(a), parse(b), 1));
}

export function subtractDims(a: Dim, b: Dim): Dim {
  return typeof a === "number" && typeof b === "number" ? a - b : format(combine(parse(a), parse(b), -1));
}

export function multiplyDims(a: Dim, b: Dim): Dim {
  return typeof a === "number" && typeof b === "number" ? a * b + 0 : format(product(parse(a), parse(b)));
}

/** The number of elements of a shape. */
export function productOf(dims: readonly Dim[]): Dim {
  return dims.reduce(multiplyDims, 1);
}

/** a / b where b divides a as a polynomial; undefined where it does not. */
export function divideExactly(a: Dim, b: Dim): Dim | undefined {
  const divisor = parse(b);
  const leading = leadingOf(divisor);
  if (leading === undefined) return undefined;
  let rest = parse(a);
  let quotient: Polynomial = new Map();
  for (let term = leadingOf(rest); term !== undefined; term = leadingOf(rest)) {
    const factor = divideTerm(term, leading);
    if (factor === undefined) return undefined;
    quotient = combine(quotient, factor, 1);
    rest = combine(rest, product(factor, divisor), -1);
  }
  return format(quotient);
}

function leadingOf(polynomial: Polynomial): [string, number] | undefined {
  return [...polynomial].reduce<[string, number] | undefined>(
    (first, term) => (first === undefined || order(term[0], first[0]) < 0 ? term : first),
    undefined,
  );
}

function divideTerm([a, x]: [string, number], [b, y]: [string, number]): Polynomial | undefined {
  if (!Number.isSafeInteger(x) || x % y !== 0) return undefined;
  const atoms = atomsOf(a);
  for (const atom of atomsOf(b)) {
    const at = atoms.indexOf(atom);
    if (at < 0) return undefined;
    atoms.splice(at, 1);
  }
  return new Map([[atoms.join("*"), x / y]]);
}

/** a / b, truncated as int64 division is; undefined for division by zero. */
export function divideDims(a: Dim, b: Dim): Dim | undefined {
  if (b === 0) return undefined;
  if (typeof a === "number" && typeof b === "number") return Math.trunc(a / b);
  return divideExactly(a, b) ?? `div(${a}, ${b})`;
}

/** The rest of a division whose operands are not negative; undefined if they may be, or for division by zero. */
export function moduloDims(a: Dim, b: Dim): Dim | undefined {
  if (b === 0 || !isNonNegative(a) || !isNonNegative(b)) return undefined;
  if (typeof a === "number" && typeof b === "number") return a % b;
  return divideExactly(a, b) === undefined ? `mod(${a}, ${b})` : 0;
}

/** Whether an expression is at least zero whatever the symbols are; false also where that is not seen. */
export function isNonNegative(dim: Dim): boolean {
  if (typeof dim === "number") return dim >= 0;
  return [...parse(dim)].every(([monomial, coefficient]) => coefficient >= 0 && atomsOf(monomial).every(isSize));
}

function isSize(atom: string): boolean {
  const call = operationOf(atom);
  if (call === undefined) return true;
  return call.name === "max" ? call.operands.some(isNonNegative) : call.operands.every(isNonNegative);
}

/** The operation and operands of an atom that is not a plain symbol. */
export function operationOf(atom: Dim): { readonly name: string; readonly operands: readonly Dim[] } | undefined {
  const match = typeof atom === "string" ? /^(div|mod|min|max|broadcast)\((.*)\)$/.exec(atom) : null;
  if (match === null || splitOutside(atom as string, " ").length !== 1) return undefined;
  const operands = splitOutside(match[2]!, ", ").map((text) => (/^-?\d+$/.test(text) ? Number(text) : text));
  return { name: match[1]!, operands };
}

/** -1, 0 or 1 as a is smaller than, equal to or greater than b for every size; undefined where that is not seen. */
export function compareDims(a: Dim, b: Dim): -1 | 0 | 1 | undefined {
  const difference = subtractDims(a, b);
  if (difference === 0) return 0;
  if (isNonNegative(subtractDims(difference, 1))) return 1;
  return isNonNegative(subtractDims(-1, difference)) ? -1 : undefined;
}

/** Ends of slices at or above this mean "to the end": no tensor is that long. */
const ENDLESS = 2 ** 31 - 1;

export function minDim(a: Dim, b: Dim): Dim {
  if (typeof a === "string" && Number(b) >= ENDLESS) return a;
  if (typeof b === "string" && Number(a) >= ENDLESS) return b;
  if (isNonNegative(subtractDims(b, a))) return a;
  return isNonNegative(subtractDims(a, b)) ? b : call("min", a, b);
}

export function maxDim(a: Dim, b: Dim): Dim {
  if (isNonNegative(subtractDims(b, a))) return b;
  return isNonNegative(subtractDims(a, b)) ? a : call("max", a, b);
}

function call(name: string, a: Dim, b: Dim): Dim {
  const [first, second] = [`${a}`, `${b}`].sort();
  return `${name}(${first}, ${second})`;
}

/**
 * The size of an axis along which two tensors are broadcast, provided that the graph runs: equal sizes, or one of them 1.
 * So `seq` against `min(seq, 512)` is `seq`: either both are the same or the model refuses.
 */
export function broadcastDim(a: Dim, b: Dim): Dim {
  if (a === b || b === 1) return a;
  if (a === 1 || typeof b === "number") return b;
  if (typeof a === "number") return a;
  if (isCappedBy(a, b)) return b;
  return isCappedBy(b, a) ? a : call("broadcast", a, b);
}

/** Whether a is the smaller of b and a number above 1. */
function isCappedBy(a: Dim, b: Dim): boolean {
  const known = operationOf(a);
  return known?.name === "min" && known.operands.includes(b) && known.operands.some((each) => Number(each) > 1);
}

/** An expression as a tree, for writing the nodes that compute it: a sum of products of atoms. */
export interface Term {
  readonly coefficient: number;
  readonly atoms: readonly string[];
}

export function termsOf(dim: Dim): Term[] {
  return [...parse(dim)].map(([monomial, coefficient]) => ({ coefficient, atoms: atomsOf(monomial) }));
}
