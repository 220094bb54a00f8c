import { readdirSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { toFloats } from "../../picture/floats.js";
import type { LoraFile } from "../../picture/lora-file.js";
import { expectClose } from "../../picture/pictures.test-support.js";
import { readAdapter } from "../../read/node.js";
import { readGguf } from "../container.js";
import { decodeGgufLora } from "../decode.js";
import { encodeGgufLora } from "../encode.js";
import { mergeGguf } from "../merge/node.js";
import { readBaseModel } from "../node.js";

const FIXTURES = join(import.meta.dirname, "fixtures");
const MODELS = readdirSync(FIXTURES).filter((name) => !name.endsWith(".json"));
const folder = await mkdtemp(join(tmpdir(), "microlora-gguf-"));
afterAll(() => rm(folder, { recursive: true }));

const at = (model: string, name: string) => join(FIXTURES, model, name);
const tensorsOf = async (path: string) =>
  new Map(
    readGguf(new Uint8Array(await readFile(path))).tensors.map(({ name, type, shape, data }) => [
      name,
      toFloats({ dtype: type as "F32", shape, data }, name),
    ]),
  );
const adapterOf = async (model: string): Promise<LoraFile> => (await readAdapter(join(FIXTURES, model))).file;

describe.each(MODELS)("%s", (model) => {
  test("merged, its GGUF is what llama.cpp's converter makes of the merged model", async () => {
    const output = join(folder, `${model}.gguf`);
    const base = await readBaseModel(at(model, "config.json"));
    expect(await mergeGguf(at(model, "base.gguf"), output, await adapterOf(model), { base })).toEqual({ warnings: [] });
    const [merged, expected, before] = await Promise.all(
      [output, at(model, "merged.gguf"), at(model, "base.gguf")].map(tensorsOf),
    );
    expect([...merged!.keys()]).toEqual([...before!.keys()]);
    let changed = 0;
    for (const [name, values] of expected!) {
      expectClose(merged!.get(name)!, values, 1e-6);
      if (values.some((value, i) => value !== before!.get(name)![i])) changed++;
    }
    expect(changed).toBeGreaterThan(5);
  });

  test("taken out again, it is the base", async () => {
    const [there, back] = [join(folder, `${model}-there.gguf`), join(folder, `${model}-back.gguf`)];
    const base = await readBaseModel(at(model, "config.json"));
    const file = await adapterOf(model);
    await mergeGguf(at(model, "base.gguf"), there, file, { base });
    await mergeGguf(there, back, file, { base, unmerge: true });
    const before = await tensorsOf(at(model, "base.gguf"));
    for (const [name, values] of await tensorsOf(back)) expectClose(values, before.get(name)!, 1e-5);
  });

  test("its adapter as GGUF is read back as it was", async () => {
    const base = await readBaseModel(at(model, "config.json"));
    const file = await adapterOf(model);
    const back = decodeGgufLora(encodeGgufLora(file, { base }), { base });
    const byModule = new Map(back.targets.map((target) => [target.module, target]));
    expect(byModule.size).toBe(file.targets.length);
    for (const { loraA, loraB, module, kind } of file.targets) {
      // Of a model of several kinds of input, llama.cpp's names leave out which part is the language model's.
      const found = byModule.get(module) ?? byModule.get(module.replace("model.language_model.", "model."))!;
      expect(found.kind).toBe(kind);
      expectClose(found.loraA, loraA, 0);
      expectClose(found.loraB, loraB, 0);
    }
  });

  test("the facts of the base are the same from its config.json and from its GGUF", async () => {
    const [said, read] = await Promise.all(["config.json", "base.gguf"].map((name) => readBaseModel(at(model, name))));
    const { architecture, tiedHead, experts, linearHeads } = said!;
    expect({ architecture, tiedHead, experts, linearHeads }).toEqual({
      architecture: read!.architecture,
      tiedHead: read!.tiedHead,
      experts: read!.experts,
      linearHeads: read!.linearHeads,
    });
    expect(said!.attentionHeads).toBe(read!.attentionHeads);
  });
});
