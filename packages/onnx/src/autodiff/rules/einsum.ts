import { stringOf } from "../../graph/attributes.js";
import { unsupported } from "../../graph/unsupported.js";
import { expandLike, shapeOf, unbroadcast } from "../emit.js";
import type { Vjp, VjpContext } from "../vjp.js";

/** "..." as one label, so that a term is a string of labels. */
const ELLIPSIS = "…";

/** The operands' labels and the output's, which may be left out: then those that occur once, in alphabetical order. */
function parse(equation: string): { readonly operands: readonly string[]; readonly output: string } {
  const [left = "", right] = equation.replaceAll(" ", "").replaceAll("...", ELLIPSIS).split("->");
  const operands = left.split(",");
  const labels = [...operands.join("")].filter((label) => label !== ELLIPSIS).sort();
  const once = labels.filter((label, i) => label !== labels[i - 1] && label !== labels[i + 1]);
  return { operands, output: right ?? (left.includes(ELLIPSIS) ? ELLIPSIS : "") + once.join("") };
}

/** dLoss/dOperand is the product of g with the other operands, over the operand's labels; labels of its own are repeated. */
export const einsum: Vjp = (context) => {
  const { node } = context;
  const { operands, output } = parse(stringOf(node.attributes, "equation", ""));
  if (operands.length !== node.inputs.length) throw unsupported(node, "its equation has not as many terms as inputs");
  return node.inputs.map((_, i) => (context.wanted(i) ? operandGradient(context, operands, output, i) : undefined));
};

function operandGradient(context: VjpContext, operands: readonly string[], output: string, i: number): string {
  const { node, builder, gradients } = context;
  const own = operands[i]!;
  if (new Set(own).size !== own.length) throw unsupported(node, "no rule for a label that occurs twice in one term");
  const others = operands.filter((_, k) => k !== i);
  const known = new Set([output, ...others].join(""));
  const summed = [...own].filter((label) => !known.has(label));
  if (summed.includes(ELLIPSIS)) throw unsupported(node, "no rule for an ellipsis that is summed away");
  const result = [...own].filter((label) => known.has(label));
  const lead = !result.includes(ELLIPSIS) && [output, ...others].some((term) => term.includes(ELLIPSIS));
  const target = (lead ? ELLIPSIS : "") + result.join("");
  const equation = `${[output, ...others].join()}->${target}`.replaceAll(ELLIPSIS, "...");
  const inputs = [gradients[0]!, ...node.inputs.filter((_, k) => k !== i)];
  const product = builder.op("Einsum", inputs, { equation });
  return fitOperand(context, product, own, summed, node.inputs[i]!, lead || own.includes(ELLIPSIS));
}

/** The product in the operand's shape: labels that were summed away repeated, broadcast dimensions summed. */
function fitOperand(
  context: VjpContext,
  product: string,
  own: string,
  summed: readonly string[],
  operand: string,
  hasEllipsis: boolean,
): string {
  const { builder, node } = context;
  if (summed.length === 0) {
    const shape = shapeOf(context, operand);
    const certain = !hasEllipsis && shape?.every((dim) => dim !== 1);
    return certain ? product : unbroadcast(context, product, operand, product);
  }
  if (hasEllipsis) throw unsupported(node, "no rule for a label of one term alone beside an ellipsis");
  const axes = [...own].flatMap((label, axis) => (summed.includes(label) ? [axis] : []));
  return expandLike(context, builder.op("Unsqueeze", [product, builder.ints(...axes)]), operand);
}
