import type { NoGradient } from "../autodiff/backward.js";
import { concat, hexOf, sha256 } from "../base/sha256.js";
import { GraphBuilder } from "../graph/builder.js";
import type { ValueInfo } from "../graph/ir.js";
import type { Loss } from "../loss/loss.js";
import type { RowMode } from "./derive.js";
import type { Span } from "./memory.js";

/**
 * Where derived graphs are kept between processes: a `Map`, `browserCache`, `folderCache`, or whatever has these two. A cache that
 * fails (a full quota, a folder that cannot be written) stops nothing: the graph is derived anew.
 */
export interface DerivationCache {
  /** The bytes kept under a key; undefined if there are none. */
  get(key: string): Uint8Array | undefined | Promise<Uint8Array | undefined>;
  /** Keeps bytes under a key. */
  set(key: string, bytes: Uint8Array): unknown;
}

/** What the derivation of one loss comes to: a graph as a file, and how to feed it. */
export interface Derivation {
  readonly bytes: Uint8Array;
  /** Name of the output with the loss. */
  readonly loss: string;
  /** Inputs of the loss by the names that it gave them. */
  readonly lossInputs: ReadonlyMap<string, string>;
  /** Output with the gradient of an input A or B. */
  readonly gradients: ReadonlyMap<string, string>;
  /** The inputs A and B without a gradient, and why. */
  readonly missing: ReadonlyMap<string, NoGradient>;
  readonly inputs: readonly ValueInfo[];
  /** How many nodes there are, and how long each value lives. */
  readonly steps: number;
  readonly spans: readonly Span[];
  /** Whether constants are to be folded when the session is made. */
  readonly folds: boolean;
}

/** The package's, which a test compares: another version may derive otherwise. */
export const VERSION = "0.1.0";

/**
 * What tells the graph with adapters from others, a SHA-256 over all that derivations look at.
 * @param bytes the graph as a file: operators, attributes, small constants, where the weights are, targets
 * @param fingerprint of the base model, which knows the ends of what is too long for the file
 */
export async function digestOf(bytes: Uint8Array, fingerprint: string): Promise<string> {
  return hexOf(await sha256(new TextEncoder().encode(fingerprint), bytes));
}

/** The key of one derivation: this version's, of this graph, for this loss. @param served `digestOf` the graph */
export async function keyOf(served: string, loss: Loss, mode: RowMode): Promise<string> {
  const text = JSON.stringify([VERSION, served, mode, loss.key, textOf(loss)]);
  return hexOf(await sha256(new TextEncoder().encode(text)));
}

/** The nodes that a loss writes: another loss with the same key must not hit. */
function textOf(loss: Loss): unknown {
  const builder = new GraphBuilder("loss.");
  const input = (name: string, dtype: string, shape: unknown) => `${name} ${dtype} ${shape}`;
  const dimsOf = (name: string, rank: number) => Array.from({ length: rank }, (_, axis) => `${name}:${axis}`);
  const value = loss.build({ builder, input, dimsOf, output: (name) => name });
  const constants = [...builder.initializers].map(([name, { dims, data }]) => [
    name,
    dims,
    data.kind === "bytes" ? [...data.bytes] : [],
  ]);
  return [value, builder.nodes, constants];
}

/** Returns the cached entry, or derives and caches it. A broken entry, or one of another key, is derived again. */
export async function cached(
  cache: DerivationCache | undefined,
  key: () => Promise<string>,
  derive: () => Derivation,
): Promise<Derivation> {
  if (cache === undefined) return derive();
  const name = await key();
  const known = await readEntry(cache, name);
  if (known !== undefined) return known;
  const made = derive();
  await writeEntry(cache, name, made);
  return made;
}

async function readEntry(cache: DerivationCache, name: string): Promise<Derivation | undefined> {
  try {
    const entry = await cache.get(name);
    return entry && (await decode(entry, name));
  } catch {
    return undefined;
  }
}

async function writeEntry(cache: DerivationCache, name: string, made: Derivation): Promise<void> {
  try {
    await cache.set(name, await encode(made, name));
  } catch {
    // The next process derives it again.
  }
}

const DIGEST = 32;

/** Digest of what follows, length of the header, header in JSON, graph. */
async function encode({ bytes, ...rest }: Derivation, key: string): Promise<Uint8Array> {
  const maps = { lossInputs: [...rest.lossInputs], gradients: [...rest.gradients], missing: [...rest.missing] };
  const header = new TextEncoder().encode(JSON.stringify({ ...rest, ...maps, key }));
  const length = new Uint8Array(Uint32Array.of(header.length).buffer);
  const digest = await sha256(length, header, bytes);
  return concat([digest, length, header, bytes]);
}

/** Undefined for anything but what `encode` wrote under this key. */
async function decode(entry: Uint8Array, key: string): Promise<Derivation | undefined> {
  const body = entry.subarray(DIGEST);
  const digest = await sha256(body);
  if (entry.length < DIGEST + 4 || !digest.every((byte, i) => byte === entry[i])) return undefined;
  const length = new DataView(body.buffer, body.byteOffset).getUint32(0, true);
  const { key: own, ...header } = JSON.parse(new TextDecoder().decode(body.subarray(4, 4 + length)));
  if (own !== key) return undefined;
  const maps = {
    lossInputs: new Map<string, string>(header.lossInputs),
    gradients: new Map<string, string>(header.gradients),
    missing: new Map<string, NoGradient>(header.missing),
  };
  return { ...header, ...maps, bytes: body.subarray(4 + length) };
}
