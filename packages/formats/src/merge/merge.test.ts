import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { expectFormatError, expectRefusal } from "../base/refusals.test-support.js";
import { decodePeft } from "../peft/decode.js";
import { baseOf, CASES, expectedOf, peftFolder } from "../peft/goldens.test-support.js";
import { fromFloats, toFloats } from "../picture/floats.js";
import { delta64, expectClose, fileOf, floats, sampleTarget } from "../picture/pictures.test-support.js";
import { foldReplaced } from "../picture/replaced.js";
import { layOut, type TensorInfo } from "../safetensors/header.js";
import { decodeSafetensors, encodeSafetensors } from "../safetensors/safetensors.js";
import { mergeSafetensors } from "./node.js";
import { mergeTensors } from "./plan.js";

const folder = await mkdtemp(join(tmpdir(), "microlora-merge-"));
afterAll(() => rm(folder, { recursive: true }));

const inFloat32 = CASES.filter((name) => !name.endsWith("16"));

describe.each(inFloat32)("%s", (name) => {
  const file = decodePeft(peftFolder(name));
  const base = baseOf(name);
  const merged = mergeTensors(base, file);

  test("the merged model is the one that PEFT merges", () => {
    const expected = [...expectedOf(name).tensors].filter(([key]) => key.startsWith("merged."));
    expect(expected.length).toBeGreaterThan(5);
    for (const [key, tensor] of expected) {
      const path = key.slice("merged.".length);
      const ours = merged.tensors.get(path) ?? merged.tensors.get(path.replace("transformer.", ""));
      // GPT-2's head is its embedding, and not stored.
      if (path === "lm_head.weight" && name === "gpt2") continue;
      if (tensor.dtype === "F32") expectClose(toFloats(ours!, path), toFloats(tensor, path), 2 ** -22);
    }
  });

  test("unmerged, the base is back within rounding", () => {
    const delta = foldReplaced(file, (path) => base.tensors.get(path), "drop");
    const there = mergeTensors(base, delta);
    const back = mergeTensors(there, delta, { unmerge: true });
    for (const [path, tensor] of base.tensors) {
      if (tensor.dtype !== "F32") continue;
      const [was, high, is] = [base, there, back].map(({ tensors }) => toFloats(tensors.get(path)!, path));
      // One rounding on the way there, one on the way back.
      const apart = was!.map(
        (value, i) => Math.abs(is![i]! - value) - 2 ** -24 * (Math.abs(high![i]!) + Math.abs(value)),
      );
      expect(Math.max(...apart), path).toBeLessThanOrEqual(0);
    }
  });

  test("from file to file it is the same, and nothing else is left behind", async () => {
    const [input, output] = [join(folder, `${name}.safetensors`), join(folder, `${name}-merged.safetensors`)];
    await writeFile(input, encodeSafetensors(base));
    await mergeSafetensors(input, output, file);
    expect(Buffer.compare(await readFile(output), encodeSafetensors(merged))).toBe(0);
    await mergeSafetensors(input, input, file);
    expect(Buffer.compare(await readFile(input), encodeSafetensors(merged))).toBe(0);
    expect((await readdir(folder)).filter((entry) => entry.endsWith(".tmp"))).toEqual([]);
  });
});

const target = sampleTarget("m", 1);
const model = (tensors: Record<string, Parameters<typeof fromFloats>>) => ({
  metadata: new Map<string, string>(),
  tensors: new Map(Object.entries(tensors).map(([name, values]) => [name, fromFloats(...values)])),
});

test.each([
  ["F16", 2 ** -10],
  ["BF16", 2 ** -7],
] as const)("weights in %s are rounded once", (dtype, step) => {
  const base = model({ "m.weight": [floats(15, 3), [3, 5], dtype] });
  const before = toFloats(base.tensors.get("m.weight")!, "");
  const after = toFloats(mergeTensors(base, fileOf(target)).tensors.get("m.weight")!, "");
  const exact = delta64(target).map((value, i) => value + before[i]!);
  for (const [i, value] of exact.entries())
    expect(Math.abs(after[i]! - value)).toBeLessThanOrEqual((step / 2) * Math.abs(value));
});

test("both layouts, and an embedding", () => {
  const transposed = (values: Float64Array) =>
    Float64Array.from({ length: 15 }, (_, k) => values[(k % 3) * 5 + Math.floor(k / 3)]!);
  const zeros = model({ "m.weight": [new Float32Array(15), [5, 3]] });
  const merge = (...args: Parameters<typeof mergeTensors>) =>
    toFloats(mergeTensors(...args).tensors.get("m.weight")!, "");
  const expected = transposed(delta64(target));
  expectClose(merge(zeros, fileOf({ ...target, weightLayout: "in-out" })), expected, 2 ** -22);
  expectClose(merge(zeros, fileOf({ ...target, kind: "embedding" })), expected, 2 ** -22);
  expectClose(merge(zeros, fileOf(target), { weightLayout: "in-out" }), expected, 2 ** -22);
  expectRefusal(() => mergeTensors(zeros, fileOf(target)), "bad-shape", "m.weight");
  const { weightLayout: _, ...untold } = target;
  expectClose(merge(zeros, fileOf(untold)), expected, 2 ** -22);
});

test("a square matrix lies as the model's other matrices do, where the adapter's file does not say", () => {
  const file = decodePeft(peftFolder("gpt2"));
  const base = baseOf("gpt2");
  const untold = { ...file, targets: file.targets.map(({ weightLayout: _, ...rest }) => rest) };
  expect(untold.targets.some(({ inFeatures, outFeatures }) => inFeatures === outFeatures)).toBe(true);
  expect(mergeTensors(base, untold)).toEqual(mergeTensors(base, file));
  const bert = decodePeft(peftFolder("bert"));
  const untoldBert = { ...bert, targets: bert.targets.map(({ weightLayout: _, ...rest }) => rest) };
  expect(mergeTensors(baseOf("bert"), untoldBert)).toEqual(mergeTensors(baseOf("bert"), bert));
});

test("what does not fit is refused before anything is written", async () => {
  const base = model({ "m.weight": [floats(15, 3), [3, 5], "F16"], "m.bias": [floats(3, 1), [3]] });
  expectRefusal(() => mergeTensors(base, fileOf(sampleTarget("other", 1))), "missing-tensor", "other.weight");
  const int: typeof base = {
    ...base,
    tensors: new Map([["m.weight", { dtype: "I16", shape: [3, 5], data: new Uint8Array(30) }]]),
  };
  expectRefusal(() => mergeTensors(int, fileOf(target)), "unsupported-dtype");
  expectRefusal(() => mergeTensors(int, fileOf({ ...target, bias: floats(3, 2) })), "unsupported-dtype");
  const huge = fileOf({ ...target, alpha: 1e6 });
  expectRefusal(() => mergeTensors(base, huge), "not-finite", /^m\.weight\[/);
  const input = join(folder, "huge.safetensors");
  await writeFile(input, encodeSafetensors(base));
  const output = join(folder, "never.safetensors");
  await mergeSafetensors(input, output, huge).then(
    () => expect.unreachable(),
    (error: unknown) => expectFormatError(error, "not-finite"),
  );
  expect((await readdir(folder)).filter((entry) => entry.startsWith("never"))).toEqual([]);
});

test("a bias is added to the base's own", () => {
  const base = model({ "m.weight": [floats(15, 3), [3, 5]], "m.bias": [floats(3, 1), [3]] });
  const bias = floats(3, 2);
  const merged = mergeTensors(base, fileOf({ ...target, bias }));
  expectClose(
    toFloats(merged.tensors.get("m.bias")!, ""),
    floats(3, 1).map((value, i) => value + bias[i]!),
    2 ** -23,
  );
});

test("a model in several files is merged file by file", async () => {
  const file = decodePeft(peftFolder("llama"));
  const base = baseOf("llama");
  const model = join(folder, "sharded");
  await mkdir(model);
  const entries = [...base.tensors];
  const shards = [entries.slice(0, 7), entries.slice(7)];
  const nameOf = (k: number) => `model-0000${k + 1}-of-00002.safetensors`;
  for (const [k, part] of shards.entries()) {
    await writeFile(join(model, nameOf(k)), encodeSafetensors({ metadata: base.metadata, tensors: new Map(part) }));
  }
  const weightMap = Object.fromEntries(shards.flatMap((part, k) => part.map(([name]) => [name, nameOf(k)])));
  const index = join(model, "model.safetensors.index.json");
  await writeFile(index, JSON.stringify({ metadata: {}, weight_map: weightMap }));
  const output = join(folder, "sharded-merged");
  await mergeSafetensors(model, output, file);
  expect((await readdir(output)).sort()).toEqual((await readdir(model)).sort());
  const merged = await Promise.all(
    shards.map(async (_, k) => decodeSafetensors(await readFile(join(output, nameOf(k))))),
  );
  const tensors = new Map(merged.flatMap((part) => [...part.tensors]));
  const bytes = encodeSafetensors({ metadata: base.metadata, tensors });
  expect(Buffer.compare(bytes, encodeSafetensors(mergeTensors(base, file)))).toBe(0);

  for (const name of ["../sharded/model-00001-of-00002.safetensors", "/etc/passwd", "a.bin", 7, ".."]) {
    await writeFile(index, JSON.stringify({ weight_map: { a: name } }));
    const error = await mergeSafetensors(model, output, file).catch((reason: unknown) => reason);
    expectFormatError(error, "bad-name");
  }
});

test("500 MB are merged in less than 200 MB of memory", { timeout: 300_000 }, async () => {
  const info: TensorInfo = { dtype: "F16", shape: [16_384, 1024] };
  const names = Array.from({ length: 15 }, (_, i) => `layers.${i}.weight`);
  const { header, layout } = layOut(new Map(names.map((name) => [name, info])), new Map());
  const input = join(folder, "big.safetensors");
  const size = [...layout.tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, header.length);
  expect(size).toBeGreaterThan(500e6);
  const handle = await open(input, "w");
  await handle.write(header);
  await handle.truncate(size); // zeros, which take no room on the disk
  await handle.close();
  const program = `
    import { mergeSafetensors } from "@microlora/formats/node";
    const ones = (length) => new Float32Array(length).fill(1);
    const target = { kind: "linear", rank: 1, inFeatures: 1024, outFeatures: 16384, alpha: 2, rsLora: false,
      loraA: ones(1024), loraB: ones(16384), dtype: "F32", weightLayout: "out-in" };
    const nothing = new Map();
    const file = { baseModel: null, dropout: 0, replaced: nothing, carried: nothing, notes: nothing,
      targets: [0, 14].map((i) => ({ ...target, module: "layers." + i })) };
    await mergeSafetensors(process.argv[1], process.argv[2], file);
    console.log(process.resourceUsage().maxRSS);`;
  const output = join(folder, "big-merged.safetensors");
  const args = ["--input-type=module", "--eval", program, "--", input, output];
  const kilobytes = Number(execFileSync(process.execPath, args, { encoding: "utf8", cwd: import.meta.dirname }));
  expect(kilobytes * 1024).toBeLessThan(200e6);
  const merged = await open(output, "r");
  for (const [name, value] of [
    ["layers.0.weight", 2],
    ["layers.1.weight", 0],
    ["layers.14.weight", 2],
  ] as const) {
    const { offset, byteLength } = layout.tensors.get(name)!;
    for (const at of [offset, offset + byteLength - 2]) {
      const { buffer } = await merged.read(new Uint8Array(2), 0, 2, at);
      expect(toFloats({ dtype: "F16", shape: [1], data: buffer }, name)[0], `${name} at ${at}`).toBe(value);
    }
  }
  await merged.close();
});
