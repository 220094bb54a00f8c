import type { Node } from "../graph/ir.js";
import type { Links } from "./links.js";
import type { Refusal, Site } from "./sites.js";

/**
 * The path of a module as PyTorch has it (`model.layers.0.self_attn.q_proj`), from what the exporter left of it: torch's
 * scopes in the node's metadata, the path in the node's name (optimum, torch.jit, GenAI), the name of the weight, or that
 * of the bias; undefined if nothing is left.
 */
export function pathOf(links: Links, site: Site | Refusal): string | undefined {
  return (
    scopeOf(site.node) ??
    pathOfNode(site.node) ??
    pathOfWeight(site.weight) ??
    ("output" in site ? biasOf(links, site.output) : undefined)
  );
}

/** torch.export notes `['', 'model', 'model.layers.0', …, 'model.layers.0.self_attn.q_proj', 'linear']`. */
function scopeOf(node: Node): string | undefined {
  const scopes = node.metadata?.["pkg.torch.onnx.name_scopes"];
  return scopes === undefined ? undefined : [...scopes.matchAll(/'([^']*)'/g)].at(-2)?.[1] || undefined;
}

/** `/model/layers.0/self_attn/q_proj/MatMul_quant` is in `model.layers.0.self_attn.q_proj`. */
function pathOfNode({ name, op }: Node): string | undefined {
  const parts = name.split("/").filter((part) => part !== "");
  const last = parts.at(-1);
  if (!name.includes("/") || parts.length < 2 || last === undefined) return undefined;
  return /^(MatMul|Gemm|Gather|Conv|FusedMatMul|Attention)/.test(last) || last.startsWith(op)
    ? parts.slice(0, -1).join(".")
    : parts.join(".");
}

/** `encoder.layer.0.attention.self.query.weight_quantized` belongs to `encoder.layer.0.attention.self.query`. */
function pathOfWeight(weight: string): string | undefined {
  const [, path] =
    /^([\w.-]+?)(?:\.MatMul)?\.q?(?:weight|kernel)(?:[_.](?:Q\d\w*|quant\w*|transposed|fp16))?$/.exec(weight) ?? [];
  return path?.includes(".") ? path : undefined;
}

/** `encoder.layer.0.attention.self.query.bias`, added to the output, keeps its name where the weight has lost it. */
function biasOf(links: Links, output: string): string | undefined {
  const [add] = links.consumers(output).filter(({ op }) => op === "Add");
  const bias = add?.inputs.find((input) => links.constant(input) !== undefined);
  return /^([\w.-]+\.[\w-]+)\.bias$/.exec(bias ?? "")?.[1];
}
