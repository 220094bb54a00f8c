import { FormatError, shown } from "../base/errors.js";
import type { LoraTarget } from "../picture/lora-file.js";
import { ARCHITECTURES, type Architecture } from "./architectures.js";

/** Where a module stands in both worlds. */
export interface Place {
  /** Of the base model's tensor in llama.cpp, such as `blk.0.attn_q.weight`. */
  readonly tensor: string;
  /** Path of the module, such as `model.layers.0.self_attn.q_proj`. */
  readonly module: string;
  readonly kind: LoraTarget["kind"];
  /** Whose heads order its rows, if any do. */
  readonly heads: "attentionHeads" | "keyValueHeads" | null;
}

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
export function placeOfTensor(tensor: string, architecture: Architecture): Place {
  if (tensor === "token_embd.weight") return { tensor, module: architecture.embedding, kind: "embedding", heads: null };
  if (tensor === "output.weight" && architecture.output !== null) {
    return { tensor, module: architecture.output, kind: "linear", heads: null };
  }
  const [, block, name = ""] = /^blk\.(0|[1-9]\d{0,5})\.(\w+)\.weight$/.exec(tensor) ?? [];
  if (block !== undefined && Object.hasOwn(architecture.modules, name)) {
    const module = architecture.block.replace("#", block) + architecture.modules[name];
    return { tensor, module, kind: "linear", heads: headsOf(name, architecture) };
  }
  throw new FormatError("unexpected-tensor", shown(tensor), "is of no module that is known here", REMEDY);
}

/** The place of a tensor of an architecture that is not known here, under llama.cpp's own name: enough to look at. */
export function placeAsNamed(tensor: string): Place {
  const kind = tensor === "token_embd.weight" ? "embedding" : "linear";
  return { tensor, module: tensor.replace(/\.weight$/, ""), kind, heads: null };
}

/** The place of a module, whose path may have the prefixes of a larger model. @throws FormatError `bad-name` */
export function placeOfModule({ module, kind }: LoraTarget, architecture: Architecture): Place {
  const path = withoutPrefix(module);
  const { embedding, output, block, modules } = architecture;
  if (path === withoutPrefix(embedding))
    return checkKind({ tensor: "token_embd.weight", module, kind: "embedding", heads: null }, kind);
  if (path === output) return checkKind({ tensor: "output.weight", module, kind: "linear", heads: null }, kind);
  const [before, after = ""] = withoutPrefix(block).split("#") as [string, string?];
  const [number = "", ...rest] = path.startsWith(before) ? path.slice(before.length).split(".") : [];
  const suffix = rest.join(".");
  const name = Object.keys(modules).find((key) => `${after}${modules[key]}` === `.${suffix}`);
  if (/^(0|[1-9]\d{0,5})$/.test(number) && name !== undefined) {
    const tensor = `blk.${number}.${name}.weight`;
    return checkKind({ tensor, module, kind: "linear", heads: headsOf(name, architecture) }, kind);
  }
  const example = block.replace("#", "0") + Object.values(modules)[0];
  throw new FormatError("bad-name", shown(module), "is no module that llama.cpp knows", `Name it like ${example}`);
}

const REMEDY = "Convert the adapter again, without it";

/** Paths begin differently with the class that a model was loaded as. */
function withoutPrefix(path: string): string {
  return path.replace(/^(?:model\.|language_model\.|transformer\.|bert\.|roberta\.)+/, "");
}

function headsOf(name: string, { permutesQK }: Architecture): Place["heads"] {
  if (!permutesQK) return null;
  return name === "attn_q" ? "attentionHeads" : name === "attn_k" ? "keyValueHeads" : null;
}

function checkKind(place: Place, kind: LoraTarget["kind"]): Place {
  if (place.kind === kind) return place;
  throw new FormatError("bad-name", shown(place.module), `is no ${kind} module`, `Make it ${place.kind}`);
}
