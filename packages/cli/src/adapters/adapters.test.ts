import { copyFile, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decodeSafetensors, toFloats } from "@microlora/formats";
import { afterAll, describe, expect, test } from "vitest";
import { MAIN, microlora, refused } from "./run.test-support.js";

const FIXTURES = fileURLToPath(new URL("../../../formats/src/", import.meta.url));
const peft = (name: string) => join(FIXTURES, "peft", "fixtures", name);

const folder = await mkdtemp(join(tmpdir(), "microlora-cli-"));
afterAll(() => rm(folder, { recursive: true }));

async function inspected(path: string, ...more: string[]) {
  return JSON.parse(await microlora("inspect", path, "--json", ...more));
}

test("inspect tells what a file is and holds", async () => {
  expect(await inspected(peft("llama-patterns"))).toMatchObject({
    format: "peft",
    baseModel: "tiny/llama-patterns",
    parameters: 336,
    modules: expect.arrayContaining([
      expect.objectContaining({
        module: "model.layers.1.self_attn.v_proj",
        rank: 2,
        alpha: 9,
        scaling: 4.5,
        dtype: "F32",
      }),
    ]),
  });
  const table = await microlora("inspect", join(FIXTURES, "bincode", "fixtures", "wide.bin"));
  expect(table).toMatch(/^state of the Rust original .*, 9659 bytes\n2 modules, 2400 parameters\n/);
  expect(table).toMatch(/q_proj +linear +300 -> 300 +2 +4 +F32 +0\.0000113/);
});

test("inspect tells the tensors of a model", async () => {
  const { format, tensors } = await inspected(peft("base-gpt2.safetensors"));
  expect(format).toBe("safetensors");
  expect(tensors).toContainEqual({ name: "h.0.attn.c_attn.weight", dtype: "F32", shape: [16, 48], byteLength: 3072 });
  const told = await microlora("inspect", peft("base-gpt2.safetensors"));
  expect(told).toMatch(/h\.0\.attn\.c_attn\.weight +F32 +16 x 48 +3072/);
});

describe("convert", () => {
  test.each([
    ["a.mlora", "microlora"],
    ["b.safetensors", "safetensors"],
    ["c", "peft"],
  ])("to %s", async (name, format) => {
    const output = join(folder, name);
    expect(await microlora("convert", peft("llama"), output)).toContain("8 modules of rank 2");
    const [was, is] = [await inspected(peft("llama")), await inspected(output)];
    expect(is).toMatchObject({ format, modules: was.modules });
    await microlora("convert", output, join(folder, `${name}-back`), "--to", "peft");
    const weights = "adapter_model.safetensors";
    const back = await readFile(join(folder, `${name}-back`, weights));
    expect(Buffer.compare(back, await readFile(join(peft("llama"), weights)))).toBe(0);
  });

  test("to llama.cpp and back, by the base model's config.json", async () => {
    const [name, gguf] = [join(FIXTURES, "gguf", "fixtures", "LlamaForCausalLM"), join(folder, "llama.gguf")];
    expect((await refused("convert", name, gguf)).stderr).toMatch(/config.json or GGUF/);
    await microlora("convert", name, gguf, "--base", join(name, "config.json"));
    const byModule = (a: { module: string }, b: { module: string }) => (a.module < b.module ? -1 : 1);
    const ours = (await inspected(gguf)).modules.sort(byModule);
    expect(ours).toEqual((await inspected(name)).modules.sort(byModule));
    // The converter's own says nothing of heads: it can be looked at, but used only with its base.
    const theirs = join(name, "adapter.gguf");
    expect((await inspected(theirs)).modules.length).toBe(ours.length);
    expect((await refused("convert", theirs, join(folder, "back"))).stderr).toMatch(/number of heads/);
    await microlora("convert", theirs, join(folder, "back"), "--base", gguf);
    expect((await inspected(join(folder, "back"))).modules.sort(byModule)).toEqual(ours);
  });

  test("to onnxruntime, the scaling in B", async () => {
    const output = join(folder, "d.onnx_adapter");
    await microlora("convert", peft("llama"), output);
    const [was, is] = [await inspected(peft("llama")), await inspected(output)];
    for (const [i, { scaling, norm }] of is.modules.entries()) {
      expect(scaling).toBe(1);
      expect(norm).toBeCloseTo(was.modules[i].norm, 6);
    }
  });

  test("from the Rust original and back, with other names in between", async () => {
    const state = join(FIXTURES, "bincode", "fixtures", "wide.bin");
    const names = ["q_proj=model.layers.0.self_attn.q_proj", "v_proj=model.layers.0.self_attn.v_proj"];
    const there = join(folder, "from-ruvllm");
    await microlora("convert", state, there, ...names.flatMap((rule) => ["--rename", rule]));
    expect((await inspected(there)).modules[0].module).toBe("model.layers.0.self_attn.q_proj");
    const turned = names.map((rule) => rule.split("=").reverse().join("="));
    await microlora("convert", there, join(folder, "back.bin"), ...turned.flatMap((rule) => ["--rename", rule]));
    expect((await inspected(join(folder, "back.bin"))).modules).toEqual((await inspected(state)).modules);
  });

  test("trained biases want their base", async () => {
    const output = join(folder, "bert.mlora");
    const { code, stderr } = await refused("convert", peft("bert-lora-only"), output);
    expect(code).toBe(1);
    expect(stderr).toMatch(/and 2 more/);
    await microlora("convert", peft("bert-lora-only"), output, "--base", peft("base-bert.safetensors"));
    expect((await inspected(output)).modules[0].bias).toBe(true);
  });

  test("to halves, and without a configuration", async () => {
    const output = join(folder, "half.safetensors");
    await microlora("convert", peft("llama"), output, "--dtype", "f16");
    expect((await inspected(output)).modules[0].dtype).toBe("F16");
    const bare = join(folder, "bare.safetensors");
    await copyFile(join(peft("llama"), "adapter_model.safetensors"), bare);
    expect((await refused("inspect", bare)).stderr).toMatch(/adapter_config/);
    expect((await inspected(bare, "--alpha", "4")).modules[0].alpha).toBe(4);
  });
});

test("merge writes the model that PEFT merges, and takes it apart again", async () => {
  const [base, merged, back] = [
    peft("base-llama.safetensors"),
    join(folder, "m.safetensors"),
    join(folder, "u.safetensors"),
  ];
  expect(await microlora("merge", base, peft("llama"), merged)).toContain("with 8 modules");
  const { tensors } = decodeSafetensors(await readFile(merged));
  const ofPeft = [...decodeSafetensors(await readFile(join(peft("llama"), "expected.safetensors"))).tensors];
  const expected = ofPeft.filter(([name]) => name.startsWith("merged."));
  expect(expected.length).toBeGreaterThan(8);
  for (const [name, tensor] of expected) {
    const ours = toFloats(tensors.get(name.slice("merged.".length))!, name);
    for (const [i, value] of toFloats(tensor, name).entries()) expect(ours[i]).toBeCloseTo(value, 6);
  }
  await microlora("merge", merged, peft("llama"), back, "--unmerge");
  expect((await stat(back)).size).toBe((await stat(base)).size);
});

test.each([
  [["inspect"], 2, /Usage: microlora inspect/],
  [["convert", "a"], 2, /Usage: microlora convert/],
  [["merge", "a", "b"], 2, /Usage: microlora merge/],
  [["convert", "a", "b.xyz"], 2, /tells no format/],
  [["convert", "a", "b", "--to", "toString"], 2, /There is no format "toString"; there are peft/],
  [["convert", "a", "b", "--dtype", "I8"], 2, /F32, F16, BF16/],
  [["convert", "a", "b", "--rename", "q"], 2, /OLD=NEW/],
  [["inspect", "x", "--alpha", "four"], 2, /a number/],
  [["convert", "a", "b.gguf", "--base", MAIN], 1, /not JSON/],
  [["inspect", "/no/such/file"], 1, /does not exist/],
  [["convert", peft("refused/dora"), "b.mlora"], 1, /DoRA/],
  [["inspect", MAIN], 1, /no adapter/],
  [["inspect", join(FIXTURES, "peft")], 1, /adapter_config.json/],
] as const)("%j is refused", async (args, code, message) => {
  const error = await refused(...args);
  expect(error.code).toBe(code);
  expect(error.stderr).toMatch(message);
  expect(error.stderr).not.toMatch(/ {4}at /);
  expect(error.stdout).toBe("");
});

test("help", async () => {
  for (const command of ["inspect", "convert", "merge"])
    expect(await microlora(command, "--help")).toContain("Usage: ");
});
