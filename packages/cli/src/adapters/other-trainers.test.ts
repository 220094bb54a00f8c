import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decodeSafetensors, encodeSafetensors, fromFloats, toFloats } from "@microlora/formats";
import { afterAll, expect, test } from "vitest";
import { microlora, refused } from "./run.test-support.js";

const FORMATS = fileURLToPath(new URL("../../../formats/src/", import.meta.url));
const layouts = (...path: string[]) => join(FORMATS, "layouts", "fixtures", ...path);
const model = (...path: string[]) => join(FORMATS, "gguf", "models", "fixtures", ...path);
const LLAMA = join(FORMATS, "peft", "fixtures", "llama");

const folder = await mkdtemp(join(tmpdir(), "microlora-trainers-"));
afterAll(() => rm(folder, { recursive: true }));
const at = (...path: string[]) => join(folder, ...path);
const inspected = async (path: string, ...more: string[]) =>
  JSON.parse(await microlora("inspect", path, "--json", ...more));

test("a folder with adapter_model.bin alone, and one of mlx-lm, are read as any other", async () => {
  await mkdir(at("pickled"));
  for (const name of ["adapter_config.json", "adapter_model.bin"])
    await cp(layouts("pickled", name), at("pickled", name));
  expect((await inspected(at("pickled"))).modules).toEqual((await inspected(layouts("pickled"))).modules);
  await microlora("convert", LLAMA, at("mlx"), "--to", "mlx");
  expect(await readdir(at("mlx"))).toEqual(["adapter_config.json", "adapters.safetensors"]);
  const [was, is] = [await inspected(LLAMA), await inspected(at("mlx"))];
  expect(is).toMatchObject({ format: "mlx", names: "mlx-lm's names" });
  for (const { module, norm } of was.modules) {
    expect(is.modules.find((other: { module: string }) => other.module === module).norm).toBeCloseTo(norm, 6);
  }
  expect((await inspected(at("mlx", "adapters.safetensors"))).modules).toEqual(is.modules);
});

test("modules are chosen and renamed, and what acts on nothing is told", async () => {
  const json = await microlora(
    ...["convert", LLAMA, at("some.safetensors"), "--only", "q_proj", "--only", "model.layers.1.", "--drop", "nosuch"],
    ...["--rename", "model.=base.", "--rename", "other=name", "--json"],
  );
  const { modules, warnings } = JSON.parse(json);
  const names = modules.map(({ module }: { module: string }) => module).sort();
  expect(names).toEqual([
    "base.layers.0.self_attn.q_proj",
    ...["k", "o", "q", "v"].map((part) => `base.layers.1.self_attn.${part}_proj`),
  ]);
  expect(warnings).toEqual(['--drop "nosuch" names no module', '--rename "other" names no module']);
  expect((await refused("convert", LLAMA, at("none"), "--only", "nosuch")).stderr).toMatch(/\[unknown-module\]/);
  expect((await refused("convert", LLAMA, at("none"), "--rename", "model.=base")).code).toBe(2);
});

test("a merge of a folder copies what lies beside the weights, and unties a head", async () => {
  await mkdir(at("base"));
  await cp(layouts("tied", "base.safetensors"), at("base", "model.safetensors"));
  const config = { architectures: ["LlamaForCausalLM"], model_type: "llama", tie_word_embeddings: true };
  await writeFile(at("base", "config.json"), JSON.stringify(config));
  await writeFile(at("base", "tokenizer.json"), "{}");
  await writeFile(at("base", "pytorch_model.bin"), "not to be copied");
  const told = await microlora("merge", at("base"), layouts("tied"), at("merged"), "--only", "lm_head", "--json");
  expect(JSON.parse(told).warnings.at(-1)).toMatch(/tie_word_embeddings/);
  expect((await readdir(at("merged"))).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
  expect(JSON.parse(await readFile(at("merged", "config.json"), "utf8"))).toMatchObject({ tie_word_embeddings: false });
  const { tensors } = decodeSafetensors(await readFile(at("merged", "model.safetensors")));
  expect(tensors.has("lm_head.weight")).toBe(true);
  await microlora("merge", at("base"), layouts("tied"), at("both"));
  expect(JSON.parse(await readFile(at("both", "config.json"), "utf8"))).toEqual(config);
});

test("kohya's underscores become the dots of the model that is merged into, or given as the base", async () => {
  const values = (shape: readonly number[]) =>
    fromFloats(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5), shape);
  const write = (name: string, shapes: Record<string, readonly number[]>) => {
    const tensors = new Map(Object.entries(shapes).map(([key, shape]) => [key, values(shape)]));
    return writeFile(at(name), encodeSafetensors({ metadata: new Map(), tensors }));
  };
  await write("unet.safetensors", { "mid_block.attn.to_q.weight": [3, 4], "mid_block.conv.weight": [2, 1, 3, 3] });
  await write("kohya.safetensors", {
    "lora_unet_mid_block_attn_to_q.lora_down.weight": [2, 4],
    "lora_unet_mid_block_attn_to_q.lora_up.weight": [3, 2],
    "lora_unet_mid_block_conv.lora_down.weight": [2, 1, 3, 3],
    "lora_unet_mid_block_conv.lora_up.weight": [2, 2, 1, 1],
  });
  await microlora("merge", at("unet.safetensors"), at("kohya.safetensors"), at("unet-merged.safetensors"));
  const { tensors } = decodeSafetensors(await readFile(at("unet-merged.safetensors")));
  // 0.5 + 2 * 0.5 * 0.5, everywhere.
  for (const [name, tensor] of tensors) expect(toFloats(tensor, name).every((value) => value === 1)).toBe(true);
  await microlora("convert", at("kohya.safetensors"), at("dotted"), "--base", at("unet.safetensors"));
  const names = (await inspected(at("dotted"))).modules.map(({ module }: { module: string }) => module).sort();
  expect(names).toEqual(["mid_block.attn.to_q", "mid_block.conv"]);
});

test("GGUF models are merged into, and adapters that llama.cpp would abort on are not written", async () => {
  const [base, adapter] = [model("llama-tied", "base.gguf"), model("llama-tied")];
  expect(await microlora("merge", base, adapter, at("merged.gguf"))).toMatch(/with 14 modules of rank 2/);
  const error = await refused("convert", model("llama-untied"), at("tied.gguf"), "--base", base);
  expect(error.stderr).toMatch(/\[tied-head\]/);
  expect((await refused("merge", base, adapter, at("merged.safetensors"))).code).toBe(2);
});

test.each([
  ["version https://git-lfs.github.com/spec/v1\noid sha256:0\n", /Git LFS pointer/],
  ["<!DOCTYPE html>\n<html>", /HTML page/],
])("%j in place of any file is refused as what it is", async (text, message) => {
  for (const name of ["a.safetensors", "a.gguf", "a.onnx_adapter", "a.bin", "a.pt", "a.mlora", "a.onnx", "a"]) {
    await writeFile(at(name), text);
    expect((await refused("inspect", at(name))).stderr, name).toMatch(message);
  }
});
