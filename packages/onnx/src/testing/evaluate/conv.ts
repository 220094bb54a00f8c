import { intOf, intsOf, stringOf } from "../../graph/attributes.js";
import { elementCount } from "../../graph/dtype.js";
import type { Evaluator } from "../../graph/elements/context.js";
import { dense } from "../../graph/elements/dense.js";
import { offsets, stridesOf } from "../../graph/elements/indexing.js";
import type { Attributes } from "../../graph/ir.js";

/** Cross-correlation over any number of spatial axes, with explicit padding. Source: onnx/docs/Operators.md, Conv */
export const conv: Evaluator = (context) => {
  const [x, w, bias] = [context.input(0), context.input(1), context.inputs[2]];
  const { attributes } = context.node;
  const spatial = x.dims.slice(2);
  const kernel = w.dims.slice(2);
  const ones = spatial.map(() => 1);
  const steps = intsOf(attributes, "strides") ?? ones;
  const dilations = intsOf(attributes, "dilations") ?? ones;
  const group = intOf(attributes, "group", 1);
  const pads = padsOf(attributes, spatial, kernel, steps, dilations);
  const out = spatial.map((size, axis) => {
    const reach = (kernel[axis]! - 1) * dilations[axis]! + 1;
    return Math.floor((size + pads[axis]! + pads[axis + spatial.length]! - reach) / steps[axis]!) + 1;
  });
  const [batch, channels, features] = [x.dims[0]!, w.dims[1]!, w.dims[0]!];
  const dims = [batch, features, ...out];
  const strides = stridesOf(x.dims);
  const taps = indices(kernel);
  const places = indices(out);
  const data = Float64Array.from(offsets(dims, stridesOf(dims)), (flat) => {
    const place = places[flat % places.length]!;
    const feature = Math.floor(flat / places.length) % features;
    const firstChannel = Math.floor(feature / (features / group)) * channels;
    const base = Math.floor(flat / (places.length * features)) * strides[0]!;
    let total = bias?.data[feature] ?? 0;
    for (const [tap, offset] of taps.entries()) {
      const at = place.map((index, axis) => index * steps[axis]! + offset[axis]! * dilations[axis]! - pads[axis]!);
      if (at.some((index, axis) => index < 0 || index >= spatial[axis]!)) continue;
      const inner = at.reduce((sum, index, axis) => sum + index * strides[axis + 2]!, base);
      for (let channel = 0; channel < channels; channel++) {
        const weight = w.data[(feature * channels + channel) * taps.length + tap]!;
        total += weight * x.data[inner + (firstChannel + channel) * strides[1]!]!;
      }
    }
    return total;
  });
  return [dense(x.dtype, dims, data)];
};

/** Padding in front of every axis, then behind it. */
function padsOf(
  attributes: Attributes,
  spatial: readonly number[],
  kernel: readonly number[],
  steps: readonly number[],
  dilations: readonly number[],
): number[] {
  const mode = stringOf(attributes, "auto_pad", "NOTSET");
  const none = [...spatial, ...spatial].map(() => 0);
  if (!mode.startsWith("SAME")) return [...(intsOf(attributes, "pads") ?? none)];
  const totals = spatial.map((size, axis) => {
    const reach = (kernel[axis]! - 1) * dilations[axis]! + 1;
    return Math.max(0, (Math.ceil(size / steps[axis]!) - 1) * steps[axis]! + reach - size);
  });
  const smaller = totals.map((total) => Math.floor(total / 2));
  const larger = totals.map((total) => Math.ceil(total / 2));
  return mode === "SAME_UPPER" ? [...smaller, ...larger] : [...larger, ...smaller];
}

/** Every index of a tensor, in row-major order. */
function indices(dims: readonly number[]): number[][] {
  const strides = stridesOf(dims);
  return Array.from({ length: elementCount(dims) }, (_, flat) =>
    dims.map((size, axis) => Math.floor(flat / strides[axis]!) % size),
  );
}
