import { intOf, stringOf } from "../../graph/attributes.js";
import type { Node } from "../../graph/ir.js";
import { unsupported } from "../../graph/unsupported.js";
import { reshape, scalarLike, shapePart, shapeVector, zerosLike } from "../emit.js";
import type { Vjp } from "../vjp.js";
import { byPosition, scatterAdd } from "./shape.js";

/** Rows added up at the indices, with the indices' dimensions made one. */
export const gather: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [x = "", indices = ""] = node.inputs;
  const axis = intOf(node.attributes, "axis", 0);
  const one = builder.ints(1);
  const count = builder.op("Reshape", [builder.op("Size", [indices]), one]);
  const before = axis === 0 ? [] : [shapePart(context, x, 0, axis)];
  const after = axis === -1 ? [] : [shapePart(context, x, axis + 1)];
  const rows = reshape(context, gradients[0]!, builder.op("Concat", [...before, count, ...after], { axis: 0 }));
  const ones = after.map((dims) => builder.op("Expand", [one, builder.op("Shape", [dims])]));
  const column = reshape(context, indices, builder.op("Concat", [count, ...ones], { axis: 0 }));
  const at = builder.op("Expand", [column, builder.op("Shape", [rows])]);
  return [scatterAdd(context, zerosLike(context, x), at, rows, axis)];
};

export const gatherElements: Vjp = (context) => {
  const { node, gradients } = context;
  const axis = intOf(node.attributes, "axis", 0);
  const [x = "", indices = ""] = node.inputs;
  return [scatterAdd(context, zerosLike(context, x), indices, gradients[0]!, axis)];
};

/** By position, since onnxruntime adds in parallel in ScatterND, where an index may occur twice. */
export const gatherND = byPosition;

/** Values come from where their indices say. */
export const topK: Vjp = (context) => {
  const { node, gradients } = context;
  const axis = intOf(node.attributes, "axis", -1);
  return [scatterAdd(context, zerosLike(context, node.inputs[0]!), context.output(1), gradients[0]!, axis)];
};

/** What was written over has no gradient ("none"), or keeps it ("add"); an update has that of its place. */
export const scatterElements: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [, indices = "", updates = ""] = node.inputs;
  const axis = intOf(node.attributes, "axis", 0);
  const reduction = checkedReduction(node);
  const cleared = () => builder.op("ScatterElements", [gradients[0]!, indices, zerosLike(context, updates)], { axis });
  return [
    context.wanted(0) ? (reduction === "add" ? gradients[0] : cleared()) : undefined,
    undefined,
    context.wanted(2) ? builder.op("GatherElements", [gradients[0]!, indices], { axis }) : undefined,
  ];
};

export const scatterND: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [, indices = "", updates = ""] = node.inputs;
  const reduction = checkedReduction(node);
  const cleared = () => builder.op("ScatterND", [gradients[0]!, indices, zerosLike(context, updates)]);
  return [
    context.wanted(0) ? (reduction === "add" ? gradients[0] : cleared()) : undefined,
    undefined,
    context.wanted(2) ? builder.op("GatherND", [gradients[0]!, indices]) : undefined,
  ];
};

function checkedReduction(node: Node): string {
  const reduction = stringOf(node.attributes, "reduction", "none");
  if (reduction !== "none" && reduction !== "add") throw unsupported(node, `no rule for reduction "${reduction}"`);
  return reduction;
}

/** The largest of a window: added up at the flat positions that onnxruntime gives with it. */
export const maxPool: Vjp = (context) => {
  const { node, builder, gradients } = context;
  if (intOf(node.attributes, "storage_order", 0) !== 0) throw unsupported(node, "no rule for column-major indices");
  const x = node.inputs[0]!;
  const flat = builder.ints(-1);
  const count = builder.op("Reshape", [builder.op("Size", [x]), builder.ints(1)]);
  const zeros = builder.op("Expand", [scalarLike(context, 0, x), count]);
  const at = builder.op("Reshape", [context.output(1), flat]);
  const sums = scatterAdd(context, zeros, at, builder.op("Reshape", [gradients[0]!, flat]), 0);
  return [reshape(context, sums, shapeVector(context, x))];
};
