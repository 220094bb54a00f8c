import { FormatError, shown } from "../base/errors.js";
import type { LoraTarget } from "../picture/lora-file.js";
import { ARCHITECTURES, type Architecture, type Order, type Stack } from "./architectures.js";

/** Where a module stands in both worlds. */
export interface Place {
  /** Of the base model's tensor in llama.cpp, such as `blk.0.attn_q.weight`. */
  readonly tensor: string;
  /** Path of the module, such as `model.layers.0.self_attn.q_proj`; where the tensor is of all experts, with a `*`. */
  readonly module: string;
  readonly kind: "linear" | "embedding";
  readonly isHead: boolean;
  readonly rows: Order | undefined;
  readonly columns: Order | undefined;
  /** Which third of the module's rows the tensor has, where llama.cpp splits it. */
  readonly third: 0 | 1 | 2 | undefined;
  /** The expert's number, of a module of one; `"all"` of a tensor of all of them. */
  readonly expert: number | "all" | undefined;
  /** Whether llama.cpp loads an adapter of the tensor and never applies it. */
  readonly isIgnored: boolean;
}

const PLAIN = {
  isIgnored: false,
  kind: "linear",
  isHead: false,
  rows: undefined,
  columns: undefined,
  third: undefined,
  expert: undefined,
} as const;
const EMBEDDING = "token_embd.weight";
const HEAD = "output.weight";

/** @throws FormatError `unsupported-variant` */
export function architectureOf(name: string): Architecture {
  const architecture = ARCHITECTURES.get(name);
  if (architecture !== undefined) return architecture;
  throw new FormatError(
    "unsupported-variant",
    "general.architecture",
    `is ${shown(name)}, whose names of modules are not known here`,
    `Use an adapter of one of ${[...ARCHITECTURES.keys()].join(", ")}`,
  );
}

/** The place of a tensor of llama.cpp. @throws FormatError `unexpected-tensor` */
export function placeOfTensor(tensor: string, { stacks, embedding, output, head }: Architecture): Place {
  if (tensor === EMBEDDING) return { ...PLAIN, tensor, module: embedding[0]!, kind: "embedding" };
  if (tensor === HEAD && (head === "own" || head === "ignored"))
    return { ...PLAIN, tensor, module: output, isHead: true };
  for (const { tensors, path, modules, experts } of stacks) {
    const [block, name] = numbered(tensor, tensors, ".weight") ?? [];
    if (block === undefined || name === undefined) continue;
    const before = path.replace("#", block);
    if (Object.hasOwn(modules, name)) {
      const { rows, columns, third, ...module } = modules[name]!;
      return { ...PLAIN, tensor, module: before + module.path, rows, columns, third };
    }
    if (experts !== undefined && Object.hasOwn(experts, name)) {
      return { ...PLAIN, tensor, module: before + experts[name], expert: "all" };
    }
  }
  throw new FormatError("unexpected-tensor", shown(tensor), "is of no module that is known here", REMEDY);
}

/** The place of a tensor of an architecture that is not known here, under llama.cpp's own name: enough to look at. */
export function placeAsNamed(tensor: string): Place {
  const kind = tensor === EMBEDDING ? "embedding" : "linear";
  return { ...PLAIN, tensor, module: tensor.replace(/\.weight$/, ""), kind };
}

/**
 * The places of a module, whose path may have the prefixes of a larger model; several where llama.cpp splits it.
 * @throws FormatError `bad-name`, `unsupported-variant` for what llama.cpp applies no adapters to
 */
export function placesOfModule({ module, kind }: LoraTarget, architecture: Architecture): readonly Place[] {
  const path = withoutPrefix(module);
  const { embedding, output, stacks } = architecture;
  if (embedding.some((name) => withoutPrefix(name) === path)) {
    return checkKind([{ ...PLAIN, tensor: EMBEDDING, module, kind: "embedding" }], kind);
  }
  if (path === withoutPrefix(output)) return checkKind([{ ...PLAIN, tensor: HEAD, module, isHead: true }], kind);
  for (const stack of stacks) {
    const [block, suffix] = numbered(path, withoutPrefix(stack.path), "") ?? [];
    if (block === undefined || suffix === undefined) continue;
    if (stack.unplaced?.includes(suffix)) refuseUnplaced(module);
    const places = placesInBlock(module, suffix, block, stack);
    if (places.length > 0) return checkKind(places, kind);
  }
  if (OTHER_PARTS.test(module)) {
    const problem =
      "is of a part for images or sound, which llama.cpp keeps in a file of its own that takes no adapters";
    throw new FormatError("unsupported-variant", shown(module), problem, "Leave it out (--drop of the command)");
  }
  const [stack] = stacks;
  const example = stack!.path.replace("#", "0") + Object.values(stack!.modules)[0]!.path;
  throw new FormatError("bad-name", shown(module), "is no module that llama.cpp knows", `Name it like ${example}`);
}

const OTHER_PARTS = /(^|[._])(vision|visual|audio|talker|vit|mm_projector|multi_modal_projector|merger|resampler)/;

function placesInBlock(
  module: string,
  suffix: string,
  block: string,
  { tensors, modules, experts = {} }: Stack,
): Place[] {
  const nameOf = (name: string) => `${tensors.replace("#", block)}${name}.weight`;
  const places: Place[] = Object.entries(modules).flatMap(([name, known]) => {
    const { path, also, rows, columns, third, isIgnored = false } = known;
    const isIt = path === suffix || also === suffix;
    return isIt ? [{ ...PLAIN, tensor: nameOf(name), module, rows, columns, third, isIgnored }] : [];
  });
  for (const [name, pattern] of Object.entries(experts)) {
    const [before = "", after = ""] = pattern.split("*");
    const number =
      suffix.startsWith(before) && suffix.endsWith(after) ? suffix.slice(before.length, -after.length) : "";
    if (NUMBER.test(number)) places.push({ ...PLAIN, tensor: nameOf(name), module, expert: Number(number) });
  }
  return places;
}

function refuseUnplaced(module: string): never {
  const problem = "is a module that llama.cpp takes apart in a way that two factors cannot follow";
  const remedy = "Leave it out (--drop of the command), or merge it into the model's safetensors and convert that";
  throw new FormatError("unsupported-variant", shown(module), problem, remedy);
}

const REMEDY = "Convert the adapter again, without it";
const NUMBER = /^(?:0|[1-9]\d{0,5})$/;

/** The number that stands where a pattern has its `#`, and what follows the pattern, without an end. */
function numbered(name: string, pattern: string, end: string): readonly [number: string, rest: string] | undefined {
  const [before = "", after = ""] = pattern.split("#");
  if (!name.startsWith(before) || !name.endsWith(end)) return undefined;
  const at = name.indexOf(after, before.length);
  const number = name.slice(before.length, Math.max(before.length, at));
  return NUMBER.test(number) ? [number, name.slice(at + after.length, name.length - end.length)] : undefined;
}

/** Paths begin differently with the class that a model was loaded as. */
function withoutPrefix(path: string): string {
  return path.replace(/^(?:model\.|language_model\.|text_model\.|transformer\.|bert\.|roberta\.|thinker\.)+/, "");
}

function checkKind(places: readonly Place[], kind: LoraTarget["kind"]): readonly Place[] {
  const [place] = places as [Place];
  if (place.kind === kind) return places;
  throw new FormatError("bad-name", shown(place.module), `is no ${kind} module`, `Make it ${place.kind}`);
}
