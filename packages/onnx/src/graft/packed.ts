import { sizeOf } from "../base/host-tensor.js";
import type { Node } from "../graph/ir.js";
import type { ShapeOfOne } from "../graph/sizes.js";
import { intOf, type Links } from "./links.js";
import { type IsWeight, type Role, rolesAhead } from "./roles.js";
import type { Site } from "./sites.js";

/** Outputs of a packed weight that one of its parts takes: [first, count], ascending. */
export type Ranges = readonly (readonly [number, number])[];

/** Which output of the weight each element of a value is. */
interface Trace {
  readonly value: string;
  readonly dims: readonly number[];
  readonly outputs: readonly number[];
}

/**
 * Takes a packed projection apart (Q, K and V in one weight, or gate and up): follows its outputs, element by element,
 * through what rearranges them until each goes its own way, contiguous or interleaved by head.
 */
export function partsOf(links: Links, site: Site, isWeight: IsWeight, shapeOf: ShapeOfOne): ReadonlyMap<Role, Ranges> {
  const found = new Map<Role, Set<number>>();
  const dims = shapeOf(site.output);
  if (dims === undefined || sizeOf(dims) !== site.outFeatures) return new Map();
  const queue: Trace[] = [{ value: site.output, dims, outputs: Array.from({ length: site.outFeatures }, (_, i) => i) }];
  for (let trace = queue.pop(), steps = 0; trace !== undefined && steps < 200; trace = queue.pop(), steps++) {
    const roles = trace.outputs.length < site.outFeatures ? rolesAhead(links, trace.value, isWeight) : [];
    if (roles.length === 1) {
      const outputs = found.get(roles[0]!) ?? new Set();
      for (const output of trace.outputs) outputs.add(output);
      found.set(roles[0]!, outputs);
      continue;
    }
    for (const node of links.consumers(trace.value)) {
      const packed = node.inputs[0] === trace.value ? unpacked(node, trace) : undefined;
      for (const [role, outputs] of packed ?? []) found.set(role, new Set(outputs));
      queue.push(...(STEPS[node.op]?.(links, node, trace, shapeOf) ?? []));
    }
  }
  const parts = [...found].map(([role, outputs]) => [role, rangesOf(outputs)] as const);
  return new Map(parts.sort(([, a], [, b]) => a[0]![0] - b[0]![0]));
}

type Step = (links: Links, node: Node, trace: Trace, shapeOf: ShapeOfOne) => readonly Trace[];

/** What rearranges elements, by operator. */
const STEPS: Readonly<Record<string, Step>> = {
  Identity: same,
  Cast: same,
  Add: same,
  Reshape: reshaped,
  Squeeze: reshaped,
  Unsqueeze: reshaped,
  Flatten: reshaped,
  Transpose: (_, node, trace) => {
    const perm = node.attributes.perm;
    return perm?.kind === "ints" ? [{ ...transposed(trace, perm.value), value: node.outputs[0]! }] : [];
  },
  Split(_links, node, trace, shapeOf) {
    const axis = axisOf(intOf(node, "axis", 0), trace);
    let start = 0;
    return node.outputs.flatMap((value) => {
      const size = shapeOf(value)?.[axis];
      if (size === undefined) return [];
      start += size;
      return [cut(trace, value, axis, start - size, size)];
    });
  },
  Slice(links, node, trace, shapeOf) {
    const [start, axis, step] = [1, 3, 4].map((input) => numbersAt(links, node.inputs[input] ?? ""));
    const size = shapeOf(node.outputs[0]!);
    if (start?.length !== 1 || axis?.length !== 1 || size === undefined || (step?.[0] ?? 1) !== 1) return [];
    const along = axisOf(axis[0]!, trace);
    const first = start[0]! < 0 ? start[0]! + trace.dims[along]! : start[0]!;
    return [cut(trace, node.outputs[0]!, along, first, size[along]!)];
  },
  Gather(links, node, trace, shapeOf) {
    const index = numbersAt(links, node.inputs[1]!);
    const dims = shapeOf(node.outputs[0]!);
    if (node.inputs[0] !== trace.value || index?.length !== 1 || dims === undefined) return [];
    const axis = axisOf(intOf(node, "axis", 0), trace);
    const first = index[0]! < 0 ? index[0]! + trace.dims[axis]! : index[0]!;
    return [{ ...cut(trace, node.outputs[0]!, axis, first, 1), dims }];
  },
};

function same(_links: Links, node: Node, trace: Trace, shapeOf: ShapeOfOne): readonly Trace[] {
  const dims = shapeOf(node.outputs[0]!);
  return dims !== undefined && sizeOf(dims) === trace.outputs.length
    ? [{ ...trace, dims, value: node.outputs[0]! }]
    : [];
}

function reshaped(links: Links, node: Node, trace: Trace, shapeOf: ShapeOfOne): readonly Trace[] {
  return node.inputs[0] === trace.value ? same(links, node, trace, shapeOf) : [];
}

/** Attention that unpacks by itself: GroupQueryAttention heads of Q, then K, then V; MultiHeadAttention [heads, 3, width]. */
function unpacked(node: Node, { dims, outputs }: Trace): readonly (readonly [Role, readonly number[]])[] | undefined {
  if (node.inputs[1]) return undefined;
  if (node.op === "GroupQueryAttention") {
    const [heads, kvHeads] = [intOf(node, "num_heads", 0), intOf(node, "kv_num_heads", 0)];
    const width = outputs.length / (heads + 2 * kvHeads);
    const [q, k] = [heads * width, (heads + kvHeads) * width];
    return [
      ["q_proj", outputs.slice(0, q)],
      ["k_proj", outputs.slice(q, k)],
      ["v_proj", outputs.slice(k)],
    ];
  }
  if (node.op !== "MultiHeadAttention" || dims.at(-2) !== 3) return undefined;
  const width = dims.at(-1)!;
  return (["q_proj", "k_proj", "v_proj"] as const).map((role, part) => [
    role,
    outputs.filter((_, i) => Math.floor(i / width) % 3 === part),
  ]);
}

function cut(trace: Trace, value: string, axis: number, start: number, size: number): Trace {
  const inner = sizeOf(trace.dims.slice(axis + 1));
  const whole = trace.dims[axis]!;
  const outputs = trace.outputs.filter((_, i) => {
    const place = Math.floor(i / inner) % whole;
    return place >= start && place < start + size;
  });
  return { value, dims: trace.dims.map((dim, i) => (i === axis ? size : dim)), outputs };
}

function transposed({ value, dims, outputs }: Trace, perm: readonly number[]): Trace {
  const strides = dims.map((_, axis) => sizeOf(dims.slice(axis + 1)));
  const turned = perm.map((axis) => dims[axis]!);
  const order = outputs.map((_, i) => {
    let [rest, from] = [i, 0];
    for (let axis = turned.length - 1; axis >= 0; axis--) {
      from += (rest % turned[axis]!) * strides[perm[axis]!]!;
      rest = Math.floor(rest / turned[axis]!);
    }
    return outputs[from]!;
  });
  return { value, dims: turned, outputs: order };
}

function axisOf(axis: number, { dims }: Trace): number {
  return axis < 0 ? axis + dims.length : axis;
}

function numbersAt(links: Links, value: string): readonly number[] | undefined {
  const tensor = links.constant(value);
  if (tensor?.dtype !== "int64" || tensor.data.kind !== "bytes") return undefined;
  return Array.from(new BigInt64Array(tensor.data.bytes.slice().buffer), Number);
}

function rangesOf(outputs: ReadonlySet<number>): Ranges {
  const ranges: [number, number][] = [];
  for (const output of [...outputs].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && last[0] + last[1] === output) last[1]++;
    else ranges.push([output, 1]);
  }
  return ranges;
}
