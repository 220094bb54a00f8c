import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expectRefusal } from "../base/refusals.test-support.js";
import { decodePeft } from "../peft/decode.js";
import type { LoraFile, LoraTarget } from "../picture/lora-file.js";
import { expectClose, fileOf, sampleTarget } from "../picture/pictures.test-support.js";
import { ARCHITECTURES } from "./architectures.js";
import { baseModelFromConfig, baseModelFromGguf } from "./base-model.js";
import { readGguf } from "./container.js";
import { ggufLora } from "./gguf-lora.js";
import { type Entry, writeGguf } from "./write-container.js";

const FIXTURES = join(import.meta.dirname, "fixtures");
const CASES = readdirSync(FIXTURES).filter((name) => !name.endsWith(".json"));
const file = (...path: readonly string[]) => new Uint8Array(readFileSync(join(FIXTURES, ...path)));
const baseOf = (name: string) => baseModelFromConfig(JSON.parse(new TextDecoder().decode(file(name, "config.json"))));

/** What PEFT saved, and llama.cpp's converter read. */
function peftOf(name: string): LoraFile {
  return decodePeft({ config: file(name, "adapter_config.json"), weights: file(name, "adapter_model.safetensors") });
}

function byModule({ targets }: LoraFile): ReadonlyMap<string, LoraFile["targets"][number]> {
  return new Map(targets.map((target) => [target.module, target]));
}

describe("what llama.cpp's own converter wrote", () => {
  test.each(CASES)("%s: is read as PEFT's adapter that it was made from", (name) => {
    const read = byModule(ggufLora.decode(file(name, "adapter.gguf"), { base: baseOf(name) }));
    const original = byModule(peftOf(name));
    expect([...read.keys()].sort()).toEqual([...original.keys()].sort());
    for (const [module, { loraA, loraB, dtype, ...shape }] of original) {
      const { loraA: readA, loraB: readB, dtype: stored, ...readShape } = read.get(module)!;
      expect(readShape).toEqual(shape);
      // Half of a step of the type that the converter rounded to; a Q8_0 block counts in 1/127 of its largest.
      const rounding = name.endsWith("-q8") ? 1 / 250 : { F32: 0, F16: 2 ** -11, BF16: 2 ** -8 }[stored];
      expectClose(readA, loraA, rounding);
      expectClose(readB, loraB, rounding);
    }
  });

  test.each(CASES.filter((name) => !name.endsWith("-q8")))("%s: is what we write, tensor by tensor", (name) => {
    const expected = readGguf(file(name, "adapter.gguf"));
    const dtype = expected.tensors[0]!.type as "F32" | "F16" | "BF16";
    const written = readGguf(ggufLora.encode(peftOf(name), { base: baseOf(name), dtype }));
    const sorted = (tensors: typeof expected.tensors) =>
      tensors.map(({ data, ...info }) => ({ ...info, data: Buffer.from(data).toString("hex") })).sort(byName);
    expect(sorted(written.tensors)).toEqual(sorted(expected.tensors));
    for (const key of ["general.architecture", "general.type", "adapter.type", "adapter.lora.alpha"]) {
      expect(written.metadata.get(key), key).toEqual(expected.metadata.get(key));
    }
  });

  test("or of its models covers every architecture of the table but some", () => {
    const models = readdirSync(join(import.meta.dirname, "models", "fixtures"));
    const covered = new Set([...CASES.map((name) => baseOf(name).architecture), ...models]);
    const uncovered = [...ARCHITECTURES.keys()].filter((name) => !covered.has(name));
    // The converter transposes adapters of gpt2 wrongly; the others are made of parts of those that are covered.
    expect(uncovered).toEqual(["qwen3vl", "qwen35moe", "gemma3n", "gpt2", "t5encoder"]);
  });
});

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);

const LLAMA = { architecture: "llama", attentionHeads: 4, keyValueHeads: 2, tiedHead: false };
const q = (fields = {}) =>
  sampleTarget("model.layers.0.self_attn.q_proj", 1, { inFeatures: 5, outFeatures: 16, ...fields });

describe("our own files", () => {
  test("hold any adapter of any architecture", () => {
    const heads = fc.record({ attentionHeads: fc.integer({ min: 1, max: 5 }), perKey: fc.integer({ min: 1, max: 3 }) });
    const shape = fc.record({
      rank: fc.integer({ min: 1, max: 5 }),
      inFeatures: fc.constantFrom(1, 3, 4, 5, 31, 33),
      half: fc.integer({ min: 1, max: 4 }),
      alpha: fc.constantFrom(1, -3, 0.5),
      dtype: fc.constantFrom("F32", "F16", "BF16"),
    });
    const architecture = fc.constantFrom(...ARCHITECTURES.keys());
    fc.assert(
      fc.property(architecture, heads, fc.array(shape, { minLength: 1, maxLength: 8 }), (name, sizes, shapes) => {
        const { stacks, weightLayout } = ARCHITECTURES.get(name)!;
        const [{ path, modules }] = stacks as [(typeof stacks)[number]];
        const base = {
          architecture: name,
          attentionHeads: sizes.attentionHeads * sizes.perKey,
          keyValueHeads: sizes.attentionHeads,
          linearHeads: { keys: 2, values: 4, keyWidth: 3, valueWidth: 2 },
        };
        // Linear attention has widths of its own; the goldens have it.
        const known = Object.values(modules).filter(
          (module) => !module.isIgnored && !module.path.startsWith("linear_attn"),
        );
        const paths = [...new Set(known.map((module) => module.path))];
        const targets = shapes.map(({ half, ...fields }, i) => {
          const module = path.replace("#", String(Math.floor(i / paths.length))) + paths[i % paths.length];
          const groups = base.attentionHeads + 2 * base.keyValueHeads;
          const outFeatures = 2 * half * (/query_key_value|W_pack/.test(module) ? 3 * groups : 1) * base.attentionHeads;
          const target = sampleTarget(module, i, { ...fields, outFeatures, weightLayout } as Partial<LoraTarget>);
          // Numbers that all three element types hold.
          const rounded = (values: Float32Array) => values.map((value) => Math.round(value * 16) / 16);
          return { ...target, loraA: rounded(target.loraA), loraB: rounded(target.loraB) };
        });
        const bytes = ggufLora.encode(fileOf(...targets), { base });
        const read = new Map(ggufLora.decode(bytes, { base }).targets.map((target) => [target.module, target]));
        for (const { alpha, loraB, ...target } of targets) {
          const { alpha: readAlpha, loraB: readB, ...rest } = read.get(target.module)!;
          expect(rest).toEqual(target);
          expectClose(
            readB.map((value) => value * readAlpha),
            loraB.map((value) => value * alpha),
            2 ** -7,
          );
        }
        // What llama.cpp takes apart comes back in another order.
        if (name === "baichuan") return;
        expect(Buffer.compare(ggufLora.encode(ggufLora.decode(bytes, { base }), { base }), bytes)).toBe(0);
      }),
    );
  });

  test("need no base model to be read back", () => {
    const picture = { ...fileOf(q()), baseModel: "owner/model", notes: new Map([["gguf.general.name", "mine"]]) };
    const read = ggufLora.decode(ggufLora.encode(picture, { base: LLAMA }));
    expect(read).toEqual(picture);
  });

  test("fold into B what one alpha cannot say, and no more", () => {
    const targets = [
      q({ alpha: 6 }),
      q({ module: "model.layers.1.self_attn.q_proj", rank: 1, rsLora: true, alpha: 3 }),
    ];
    const [first, second] = ggufLora.decode(ggufLora.encode(fileOf(...targets), { base: LLAMA })).targets;
    expect(first).toEqual(targets[0]);
    expect(second).toMatchObject({ alpha: 6, rsLora: false });
    expectClose(
      second!.loraB,
      targets[1]!.loraB.map((value) => value / 2),
      0,
    );
  });

  test("that scale by nothing stay nothing, though llama.cpp takes alpha 0 as no scaling", () => {
    const [target] = ggufLora.decode(ggufLora.encode(fileOf(q({ alpha: 0 })), { base: LLAMA })).targets;
    expect(target!.loraB.every((value) => value === 0)).toBe(true);
    expect(target!.alpha).not.toBe(0);
  });

  test("say what they cannot", () => {
    const encode = (target: ReturnType<typeof q>, base = LLAMA) => ggufLora.encode(fileOf(target), { base });
    expectRefusal(() => ggufLora.encode(fileOf(q())), "needs-base");
    expectRefusal(() => encode(q({ module: "q_proj" })), "bad-name");
    expectRefusal(() => encode(q({ module: "model.layers.0.constructor" })), "bad-name");
    expectRefusal(() => encode(q({ kind: "embedding" })), "bad-name");
    expectRefusal(() => encode(q({ bias: new Float32Array(16) })), "unsupported-variant");
    expectRefusal(() => encode(q(), { ...LLAMA, architecture: "rwkv7" }), "unsupported-variant");
    expectRefusal(() => encode(q(), { ...LLAMA, attentionHeads: 3 }), "needs-base");
    expectRefusal(() => encode(q(), { ...LLAMA, keyValueHeads: 0 }), "bad-config");
    expectRefusal(
      () => encode(q({ loraA: new Float32Array(10).fill(65_520), dtype: "F16" })),
      "not-finite",
      /loraA\[0\]/,
    );
    expectRefusal(() => encode(q({ module: "model.layers.0.mlp.".padEnd(60, "x") })), "bad-name");
  });
});

test("a file of an unknown architecture can be looked at, but not used", () => {
  const bytes = ggufLora.encode(fileOf(q()), { base: { ...LLAMA, architecture: "qwen2" } });
  Buffer.from(bytes.buffer).write("rwkv7", Buffer.from(bytes).indexOf("qwen2"));
  expectRefusal(() => ggufLora.decode(bytes), "unsupported-variant");
  expect(ggufLora.decode(bytes, { asStored: true }).targets[0]).toMatchObject({ module: "blk.0.attn_q", rank: 2 });
});

test("whole norms beside the factors are passed over, as in llama.cpp", () => {
  const { metadata, tensors } = readGguf(ggufLora.encode(fileOf(q()), { base: LLAMA }));
  const norm = { name: "blk.0.attn_norm.weight", shape: [4], type: "F32", data: new Uint8Array(16) } as const;
  const bytes = writeGguf(metadata as ReadonlyMap<string, Entry>, [norm, ...tensors]);
  expect(ggufLora.decode(bytes).targets).toEqual([q()]);
});

test("a missing alpha is no scaling, as in llama.cpp", () => {
  const bytes = ggufLora.encode(fileOf(q({ alpha: 7 })), { base: LLAMA });
  const zero = bytes.slice();
  const at = Buffer.from(bytes).indexOf("adapter.lora.alpha") + "adapter.lora.alpha".length + 4;
  new DataView(zero.buffer).setFloat32(at, 0, true);
  expect(ggufLora.decode(zero).targets[0]).toMatchObject({ alpha: 2, rank: 2 });
});

test("a base model's facts are read from the beginning of its file, or from its config.json", () => {
  const bytes = ggufLora.encode(fileOf(q()), { base: LLAMA });
  const model = Buffer.from(bytes);
  // An adapter says how many heads its model has, and nothing of the head.
  expect(baseModelFromGguf(bytes.subarray(0, 600))).toEqual({ ...LLAMA, tiedHead: undefined });
  model.write("a model", model.indexOf("general.type") + "general.type".length + 12, "latin1");
  expect(baseModelFromGguf(model.subarray(0, 600))).toEqual({ ...LLAMA, tiedHead: true });
  expectRefusal(() => baseModelFromGguf(bytes.subarray(0, 100)), "truncated");
  expect(baseModelFromConfig({ architectures: ["GPT2LMHeadModel"], n_head: 3 })).toEqual({
    architecture: "gpt2",
    attentionHeads: 3,
    keyValueHeads: 3,
  });
  // What a class has by default, its config.json leaves out.
  const bare = (name: string, model_type: string, more = {}) =>
    baseModelFromConfig({ architectures: [name], model_type, ...more });
  expect(bare("MistralForCausalLM", "mistral")).toMatchObject({
    attentionHeads: 32,
    keyValueHeads: 8,
    tiedHead: false,
  });
  expect(bare("SmolLM3ForCausalLM", "smollm3")).toMatchObject({ attentionHeads: 16, keyValueHeads: 4, tiedHead: true });
  expect(bare("Gemma3ForConditionalGeneration", "gemma3", { text_config: {} })).toMatchObject({ tiedHead: true });
  expectRefusal(() => baseModelFromConfig({ model_type: "llama" }), "unsupported-variant");
  expectRefusal(() => baseModelFromConfig({ architectures: ["Mystery"] }), "unsupported-variant");
  expectRefusal(() => baseModelFromConfig(null), "bad-config");
});

test("what llama.cpp would ignore, could not load or would abort on is refused", () => {
  const linear = (module: string) => sampleTarget(module, 1, { inFeatures: 8, outFeatures: 16 });
  const embedding = sampleTarget("model.embed_tokens", 1, { kind: "embedding", inFeatures: 16, outFeatures: 8 });
  const encode = (architecture: string, target: LoraTarget, tiedHead?: boolean) =>
    ggufLora.encode(fileOf(target), { base: { architecture, attentionHeads: 4, keyValueHeads: 4, tiedHead } });
  for (const target of [linear("lm_head"), embedding]) {
    expectRefusal(() => encode("llama", target, true), "tied-head");
    expectRefusal(() => encode("llama", target), "needs-base");
    expectRefusal(() => encode("gemma2", target, false), "tied-head");
    expect(encode("llama", target, false).length).toBeGreaterThan(0);
  }
  for (const name of ["q_proj", "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj"]) {
    expectRefusal(() => encode("deepseek2", linear(`model.layers.0.self_attn.${name}`)), "unsupported-variant");
  }
  expectRefusal(() => encode("deepseek2", linear("lm_head"), false), "unsupported-variant");
  expectRefusal(
    () => encode("gemma3", linear("model.vision_tower.encoder.layers.0.self_attn.q_proj")),
    "unsupported-variant",
  );
  const expert = linear("model.layers.0.block_sparse_moe.experts.5.w1");
  expectRefusal(() => encode("llama", expert), "needs-base");
  const base = { architecture: "llama", attentionHeads: 4, keyValueHeads: 4, experts: 8 };
  const read = ggufLora.decode(ggufLora.encode(fileOf(expert), { base }), { base }).targets;
  expect(read.map(({ module }) => module)).toEqual([expert.module]);
  expectClose(read[0]!.loraB, expert.loraB, 1e-6);
});
