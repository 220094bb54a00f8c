import { execFileSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { microlora, refused } from "./run.test-support.js";

const FORMATS = fileURLToPath(new URL("../../../formats/src/", import.meta.url));
const MODEL = join(FORMATS, "peft", "fixtures", "base-llama.safetensors");
const ONNX = join(FORMATS, "picture", "fixtures", "llama.onnx");
const CONFIG = join(FORMATS, "gguf", "fixtures", "LlamaForCausalLM");

const folder = await mkdtemp(join(tmpdir(), "microlora-refusals-"));
afterAll(() => rm(folder, { recursive: true }));
const at = (...path: string[]) => join(folder, ...path);

const EXTENSIONS = ["mlora", "safetensors", "gguf", "onnx_adapter", "bin", "onnx"] as const;
await cp(join(FORMATS, "peft", "fixtures", "llama"), at("good"), { recursive: true });
await mkdir(at("folder"));
await mkdir(at("half"));
await cp(at("good", "adapter_config.json"), at("half", "adapter_config.json"));
await cp(at("half"), at("pickled"), { recursive: true });
await writeFile(at("pickled", "adapter_model.bin"), "");
await symlink(at("loop"), at("loop"));
await writeFile(at("empty"), "");
await writeFile(at("text.txt"), "hello\n");
await writeFile(at("other.json"), "{}");
for (const extension of EXTENSIONS) {
  await mkdir(at(`folder.${extension}`));
  await writeFile(at(`empty.${extension}`), "");
  await writeFile(at(`text.${extension}`), "hello, I am no adapter and no model at all\n");
}
await microlora("convert", at("good"), at("there.mlora"));
const pipes = process.platform === "win32" ? [] : ["pipe"];
for (const pipe of pipes) execFileSync("mkfifo", [at(pipe)]);

/** Arguments that are refused, and the code; a path begins with @. */
const REFUSED: readonly (readonly [string, string])[] = [
  ["inspect @missing", "cannot-read"],
  ["inspect @missing.onnx", "cannot-read"],
  ["inspect @missing.safetensors", "cannot-read"],
  ["inspect @loop", "cannot-read"],
  ["inspect @folder", "missing-config"],
  ["inspect @half", "missing-config"],
  ["inspect @pickled", "not-this-format"],
  ["inspect @folder.onnx", "cannot-read"],
  ["inspect @folder.safetensors", "missing-config"],
  ["inspect @good --format gguf", "cannot-read"],
  ["inspect @empty", "unknown-format"],
  ["inspect @text.txt", "unknown-format"],
  ["inspect @empty.mlora", "truncated-checkpoint"],
  ["inspect @empty.safetensors", "truncated"],
  ["inspect @empty.gguf", "truncated"],
  ["inspect @empty.onnx_adapter", "not-this-format"],
  ["inspect @empty.bin", "truncated"],
  ["inspect @empty.onnx", "not-onnx"],
  ["inspect @text.mlora", "not-a-checkpoint"],
  ["inspect @text.safetensors", "too-large"],
  ["inspect @text.gguf", "not-this-format"],
  ["inspect @text.onnx_adapter", "not-this-format"],
  ["inspect @text.bin", "truncated"],
  ["inspect @text.onnx", "not-onnx"],
  ...pipes.map((pipe) => [`inspect @${pipe}`, "cannot-read"] as const),
  ["convert @missing @out.mlora", "cannot-read"],
  ["convert @folder @out.mlora", "missing-config"],
  ["convert @empty @out.mlora", "unknown-format"],
  ["convert @there.mlora @there.mlora", "cannot-write"],
  ["convert @good @there.mlora", "cannot-write"],
  ["convert @good @good", "cannot-write"],
  ["convert @good @folder.mlora", "cannot-write"],
  ["convert @good @folder.mlora --force", "cannot-write"],
  ["convert @good @empty/out.mlora", "cannot-write"],
  ["convert @good @empty/out", "cannot-write"],
  ["convert @good @loop", "cannot-write"],
  ["convert @good @out.gguf --base @missing", "cannot-read"],
  ["convert @good @out.gguf --base @folder", "cannot-read"],
  ["convert @good @out.gguf --base @empty", "bad-config"],
  ["convert @good @out.gguf --base @other.json", "unsupported-variant"],
  ["convert @good @out.gguf --base @empty.gguf", "truncated"],
  ["convert @good @out.gguf --base @text.gguf", "not-this-format"],
  ["convert @good @out.gguf --base @missing.safetensors", "cannot-read"],
  ["convert @good @out.gguf --base @folder.safetensors", "cannot-read"],
  ["convert @good @out.gguf --base MODEL", "needs-base"],
  ...pipes.map((pipe) => [`convert @good @out.gguf --base @${pipe}`, "cannot-read"] as const),
  ["merge @missing @good @out.safetensors", "cannot-read"],
  ["merge @missing.onnx @good @out.onnx", "cannot-read"],
  ["merge @folder @good @out", "cannot-read"],
  ["merge @folder.onnx @good @out.onnx", "cannot-read"],
  ["merge @empty.safetensors @good @out.safetensors", "truncated"],
  ["merge @text.safetensors @good @out.safetensors", "too-large"],
  ["merge @empty.onnx @good @out.onnx", "not-onnx"],
  ["merge @text.onnx @good @out.onnx", "not-onnx"],
  ["merge MODEL @missing @out.safetensors", "cannot-read"],
  ["merge MODEL @empty @out.safetensors", "unknown-format"],
  ["merge MODEL @good @good/adapter_model.safetensors", "cannot-write"],
  ["merge MODEL @good @folder", "cannot-write"],
  ["merge MODEL @good @empty/out.safetensors", "cannot-write"],
  ["merge ONNX @missing @out.onnx", "cannot-read"],
  ["merge ONNX @good @text.onnx", "cannot-write"],
  ["merge ONNX @good @folder.onnx", "cannot-write"],
  ["merge ONNX @good @empty/out.onnx", "cannot-write"],
  ["merge ONNX @good @out.onnx --base @missing", "cannot-read"],
];

/** What is in the folder, and in the folders that are there. */
async function contents(): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  const read = files.map(async (path) => [path, await readFile(path, "hex")] as const);
  return Object.fromEntries([...entries.map(({ name }) => [name, ""]), ...(await Promise.all(read))]);
}

test.each(REFUSED)("%s is refused as %s, and nothing is written", async (line, code) => {
  const args = line
    .split(" ")
    .map((arg) => arg.replace(/^@/, `${folder}/`).replace("MODEL", MODEL).replace("ONNX", ONNX));
  const before = await contents();
  const error = await refused(...args);
  expect(error.code).toBe(1);
  expect(error.stderr).toMatch(new RegExp(`^\\S+: .+\\. [A-Z].+\\. \\[${code}\\]\n$`));
  expect(error.stdout).toBe("");
  expect(await contents()).toEqual(before);
});

test.each([
  ["merge", MODEL, at("good"), at("out.onnx")],
  ["merge", ONNX, at("good"), at("out.safetensors")],
  ["merge", ONNX, at("good"), at("out.onnx"), "--weights", "in-out"],
  ["--rank", "65"],
  ["--rank", "1.5"],
  ["--seed=-1"],
  ["--seeds", "0"],
  ["--clicks", "1e99"],
  ["try", "--unknown"],
  ["try", "more"],
])("%s %s %s is a wrong call", async (...args) => {
  const { code, stderr } = await refused(...args);
  expect(code).toBe(2);
  expect(stderr).not.toMatch(/ {4}at /);
});

test("what is there is written over when that is wanted", async () => {
  await microlora("convert", at("good"), at("there.mlora"), "--dtype", "f16", "--force");
  await microlora("merge", MODEL, at("good"), at("empty.safetensors"), "--force");
  await microlora("merge", ONNX, at("good"), at("empty.onnx"), "--force");
  await microlora("convert", at("good"), at("good"), "--dtype", "f16", "--force");
  expect(JSON.parse(await microlora("inspect", at("good"), "--json")).modules[0].dtype).toBe("F16");
});

test("folders on the way are made, and a model's folder or a file of PEFT's may be named", async () => {
  await microlora("convert", at("good", "adapter_config.json"), at("new", "deep", "a.gguf"), "--base", CONFIG);
  expect(JSON.parse(await microlora("inspect", at("new", "deep", "a.gguf"), "--json")).modules).toHaveLength(8);
});
