import type { Node } from "../graph/ir.js";
import type { Links } from "./links.js";
import type { Refusal, Site } from "./sites.js";

/**
 * The path of a module as PyTorch has it (`model.layers.0.self_attn.q_proj`), from what the exporter left of it: torch's
 * scopes in the node's metadata, the path in the node's name (optimum, torch.jit, GenAI), the name of the weight, or that
 * of the bias; undefined if nothing is left. Where a module does its own products, as `nn.MultiheadAttention` does, the name
 * of the weight says more than the scope (`self_attn.out_proj`).
 */
export function pathOf(links: Links, site: Site | Refusal): string | undefined {
  const ofNode = scopeOf(site.node) ?? pathOfNode(site.node);
  const ofTensors = [pathOfWeight(site.weight), biasOf(links, site)].filter((path) => path !== undefined);
  return ofNode === undefined ? ofTensors[0] : (ofTensors.find((path) => path.startsWith(`${ofNode}.`)) ?? ofNode);
}

/** torch.export notes `['', 'model', 'model.layers.0', …, 'model.layers.0.self_attn.q_proj', 'linear']`. */
function scopeOf(node: Node): string | undefined {
  return innermost(node, "name_scopes") || undefined;
}

/** Whether torch.export says that a node is a call of a PyTorch module that has one weight matrix, such as `nn.Linear`. */
export function isCallOfLinear(node: Node): boolean {
  return /(^|\.)(Linear|Conv1D|Conv[123]d|Embedding)$/.test(innermost(node, "class_hierarchy") ?? "");
}

/** The last module of a list that ends with the operation in it. */
function innermost({ metadata }: Node, list: "name_scopes" | "class_hierarchy"): string | undefined {
  const scopes = metadata?.[`pkg.torch.onnx.${list}`];
  return scopes === undefined ? undefined : [...scopes.matchAll(/'([^']*)'/g)].at(-2)?.[1];
}

/**
 * `/model/layers.0/self_attn/q_proj/MatMul/MatMulAddFusion` is in `model.layers.0.self_attn.q_proj`, and `fused /mlp/mlp.2/Gemm` in
 * `mlp.2`: a child of a sequence has its parent's name in its own.
 */
function pathOfNode({ name, op }: Node): string | undefined {
  const all = name.replace(/^fused /, "").split("/");
  const parts = all.filter((part, i) => part !== "" && !all[i + 1]?.startsWith(`${part}.`));
  if (!name.includes("/") || parts.length < 2) return undefined;
  const isOperator = (part: string) =>
    /^(MatMul|Gemm|Gather|Conv|Einsum|FusedMatMul|Attention)/.test(part) || part.startsWith(op);
  return parts.slice(0, parts.findLastIndex((part) => !isOperator(part)) + 1).join(".") || undefined;
}

/** `encoder.layer.0.attention.self.query.weight_quantized` belongs to `encoder.layer.0.attention.self.query`. */
function pathOfWeight(weight: string): string | undefined {
  const [, path] =
    /^([\w.-]+?)(?:\.MatMul)?\.q?(?:weight|kernel)(?:[_.](?:Q\d\w*|quant\w*|transposed|fp16))?$/.exec(weight) ?? [];
  return path?.includes(".") ? path : undefined;
}

/**
 * `encoder.layer.0.attention.self.query.bias`, added to the output, keeps its name where the weight has lost it. A bias that several
 * layers share names none of them.
 */
function biasOf(links: Links, site: Site | Refusal): string | undefined {
  const [add] = "output" in site ? links.consumers(site.output).filter(({ op }) => op === "Add") : [];
  const added = site.node.op === "Gemm" ? site.node.inputs.slice(2) : (add?.inputs ?? []);
  const bias = added.find((input) => links.constant(input) !== undefined);
  if (bias === undefined || links.consumers(bias).length > 1) return undefined;
  return /^([\w.-]+\.[\w-]+)\.bias$/.exec(bias)?.[1];
}
