import { intOf, intsOf, stringOf } from "../graph/attributes.js";
import type { Evaluator } from "../graph/elements/context.js";
import { type Dense, dense } from "../graph/elements/dense.js";

/** y = M x along one axis: `weights(i)` are the elements that the i-th of `size` new ones is made of, and how much of each. */
function along(
  x: Dense,
  axis: number,
  size: number,
  weights: (i: number) => readonly (readonly [number, number])[],
): Dense {
  const inner = x.dims.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const dims = x.dims.with(axis, size);
  const data = Array.from({ length: dims.reduce((product, dim) => product * dim, 1) }, (_, flat) => {
    const outer = Math.floor(flat / (inner * size));
    const at = (from: number) => x.data[(outer * x.dims[axis]! + from) * inner + (flat % inner)]!;
    return weights(Math.floor(flat / inner) % size).reduce((sum, [from, weight]) => sum + weight * at(from), 0);
  });
  return dense(x.dtype, dims, data);
}

/** Where a new element lies among the old ones, by the modes of Resize. */
const PLACES: { readonly [mode: string]: (i: number, scale: number, from: number, to: number) => number } = {
  half_pixel: (i, scale) => (i + 0.5) / scale - 0.5,
  asymmetric: (i, scale) => i / scale,
  align_corners: (i, _, from, to) => (to === 1 ? 0 : (i * (from - 1)) / (to - 1)),
};

/** Operators that are linear maps along each axis, written from onnx/docs/Operators.md. */
export const RESAMPLING: { readonly [op: string]: Evaluator } = {
  AveragePool: ({ node: { attributes }, input }) => {
    const kernel = intsOf(attributes, "kernel_shape")!;
    const ones = kernel.map(() => 1);
    const [strides, dilations] = [intsOf(attributes, "strides") ?? ones, intsOf(attributes, "dilations") ?? ones];
    const pads = intsOf(attributes, "pads") ?? [...ones, ...ones].map(() => 0);
    const isCounted = intOf(attributes, "count_include_pad", 0) === 1;
    const round = intOf(attributes, "ceil_mode", 0) === 1 ? Math.ceil : Math.floor;
    return [
      kernel.reduce((x, width, i) => {
        const size = x.dims[i + 2]!;
        const reach = (width - 1) * dilations[i]! + 1;
        const places = round((size + pads[i]! + pads[i + kernel.length]! - reach) / strides[i]!) + 1;
        return along(x, i + 2, places, (at) => {
          const all = Array.from({ length: width }, (_, k) => at * strides[i]! + k * dilations[i]! - pads[i]!);
          const inside = all.filter((from) => from >= 0 && from < size);
          return inside.map((from) => [from, 1 / (isCounted ? width : inside.length)]);
        });
      }, input(0)),
    ];
  },
  DFT: ({ node: { attributes }, inputs, input }) => {
    const x = input(0);
    const parts = x.dims.at(-1)!;
    const given = inputs[2]?.data[0] ?? -2;
    const axis = given < 0 ? given + x.dims.length : given;
    const isInverse = intOf(attributes, "inverse", 0) === 1;
    const size = x.dims[axis]!;
    const turned = (part: number, wave: (angle: number) => number) =>
      along(
        along(x, x.dims.length - 1, 1, () => [[part, 1]]),
        axis,
        size,
        (k) =>
          Array.from({ length: size }, (_, n) => {
            const angle = ((isInverse ? 2 : -2) * Math.PI * k * n) / size;
            return [n, wave(angle) / (isInverse ? size : 1)];
          }),
      ).data;
    const [realCos, realSin] = [turned(0, Math.cos), turned(0, Math.sin)];
    const [imagCos, imagSin] = parts === 2 ? [turned(1, Math.cos), turned(1, Math.sin)] : [[], []];
    const pairs = Array.from(realCos, (value, i) => [value - (imagSin[i] ?? 0), realSin[i]! + (imagCos[i] ?? 0)]);
    return [dense(x.dtype, x.dims.with(-1, 2), pairs.flat())];
  },
  Resize: ({ node: { attributes }, inputs, input }) => {
    const mode = PLACES[stringOf(attributes, "coordinate_transformation_mode", "half_pixel")]!;
    const isNearest = stringOf(attributes, "mode", "nearest") === "nearest";
    const [scales, sizes] = [inputs[2]?.data, inputs[3]?.data];
    return [
      input(0).dims.reduce((x, from, axis) => {
        const to = sizes ? sizes[axis]! : Math.floor(from * scales![axis]!);
        const clamp = (at: number) => Math.min(Math.max(at, 0), from - 1);
        return along(x, axis, to, (i) => {
          const place = mode(i, sizes ? to / from : scales![axis]!, from, to);
          if (isNearest) return [[clamp(Math.floor(place)), 1]];
          const [low, share] = [Math.floor(clamp(place)), clamp(place) - Math.floor(clamp(place))];
          return [
            [low, 1 - share],
            [clamp(low + 1), share],
          ];
        });
      }, input(0)),
    ];
  },
};
