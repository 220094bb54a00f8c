import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { expectFormatError } from "../../base/refusals.test-support.js";
import { delta64, expectClose, fileOf, floats, sampleTarget } from "../../picture/pictures.test-support.js";
import { readGgufHeader } from "../container.js";
import { ggufHeader } from "../write-container.js";
import { BLOCK_TYPES, type BlockType } from "./blocks.js";
import { mergeGguf } from "./node.js";

const folder = await mkdtemp(join(tmpdir(), "microlora-blocks-"));
afterAll(() => rm(folder, { recursive: true }));

const [ROWS, COLS] = [4, 256];
const METADATA = (() => {
  const text = (value: string) => {
    const bytes = new Uint8Array(8 + value.length);
    new DataView(bytes.buffer).setUint32(0, value.length, true);
    bytes.set(new TextEncoder().encode(value), 8);
    return [...bytes];
  };
  return Uint8Array.from([...text("general.architecture"), 8, 0, 0, 0, ...text("qwen2")]);
})();

/** A model of one matrix, of blocks of any type. */
async function modelOf(typeId: number, data: Uint8Array, name = "blk.0.attn_q.weight"): Promise<string> {
  const tensors = [{ name, shape: [COLS, ROWS], typeId }];
  const header = ggufHeader({
    version: 3,
    entryCount: 1,
    metadata: METADATA,
    alignment: 32,
    tensors,
    lengths: [data.length],
  });
  const path = join(folder, `${typeId}.gguf`);
  await writeFile(path, Buffer.concat([header, data]));
  return path;
}

/** The numbers of the one matrix of a file, and its type. */
async function readBack(path: string): Promise<{ type: BlockType; values: Float64Array }> {
  const bytes = new Uint8Array(await readFile(path));
  const { infos, offsets, alignment } = readGgufHeader(bytes);
  const type = BLOCK_TYPES.get(infos[0]!.typeId)!;
  const start = Math.ceil(offsets.end / alignment) * alignment;
  const values = new Float64Array(ROWS * COLS);
  for (let i = 0; i * type.elements < values.length; i++) {
    type.dequantize(new DataView(bytes.buffer), start + i * type.bytes, values, i * type.elements);
  }
  return { type, values };
}

const target = sampleTarget("model.layers.0.self_attn.q_proj", 1, {
  rank: 2,
  inFeatures: COLS,
  outFeatures: ROWS,
  alpha: 0.2,
});

test.each([...BLOCK_TYPES.values()])(
  "weights of $name take up an adapter, and tell what rounding costs",
  async (type) => {
    const data = new Uint8Array(((ROWS * COLS) / type.elements) * type.bytes);
    if (type.quantize === undefined) {
      // Any bytes are codes; halves that are scales are made small numbers.
      data.forEach((_, i) => {
        data[i] = (i * 37) % 251;
      });
      const halves =
        { Q2_K: [80, 82], Q3_K: [108], Q6_K: [208] }[type.name] ?? (type.name.startsWith("IQ") ? [0] : [0, 2]);
      const view = new DataView(data.buffer);
      for (let at = 0; at < data.length; at += type.bytes)
        for (const half of halves) view.setUint16(at + half, 0x2000, true);
    } else {
      const values = Float64Array.from(floats(ROWS * COLS, 9));
      for (let i = 0; i < values.length; i += type.elements) {
        type.quantize(values, i, new DataView(data.buffer), (i / type.elements) * type.bytes);
      }
    }
    const [input, output] = [await modelOf(type.id, data), join(folder, `${type.name}.gguf`)];
    const { warnings } = await mergeGguf(input, output, fileOf(target));
    const [before, after] = [await readBack(input), await readBack(output)];
    expect(after.type.name).toBe(type.quantize === undefined ? "F16" : type.name);
    const delta = delta64(target);
    const wanted = before.values.map((value, i) => value + delta[i]!);
    // A block of b bits has a step of about its largest number over 2^(b-1).
    const bits = { Q4_0: 4, Q4_1: 4, Q5_0: 5, Q5_1: 5, Q8_0: 8 }[type.name] ?? 11;
    expectClose(after.values, wanted, type.isExact ? 2 ** -8 : 2 ** (1 - bits));
    expect(warnings.length).toBe(type.isExact ? 0 : 1);
    if (!type.isExact) expect(warnings[0]).toMatch(new RegExp(`^1 tensor of ${type.name}.* what the adapter adds$`));
  },
);

test("what cannot be merged is refused, and nothing is written", async () => {
  const refusal = async (path: string, file = fileOf(target)) => {
    const output = join(folder, "refused.gguf");
    const error = await mergeGguf(path, output, file).then(
      () => expect.unreachable(),
      (thrown: unknown) => thrown,
    );
    await expect(readFile(output)).rejects.toThrow("ENOENT");
    return error;
  };
  const floats32 = new Uint8Array(4 * ROWS * COLS);
  expectFormatError(await refusal(await modelOf(19, floats32)), "unsupported-dtype");
  expectFormatError(await refusal(await modelOf(0, floats32.subarray(4))), "truncated");
  const other = fileOf({ ...target, module: "model.layers.1.self_attn.q_proj" });
  const path = await modelOf(0, floats32);
  expectFormatError(await refusal(path, other), "missing-tensor");
  expectFormatError(await refusal(path, fileOf({ ...target, bias: floats(ROWS, 1) })), "missing-tensor");
  expectFormatError(await refusal(path, fileOf({ ...target, magnitude: floats(ROWS, 1) })), "unsupported-variant");
  const narrow = sampleTarget(target.module, 1, { inFeatures: 128, outFeatures: ROWS });
  expectFormatError(await refusal(path, fileOf(narrow)), "bad-shape");
});
