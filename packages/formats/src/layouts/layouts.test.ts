import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { expectRefusal } from "../base/refusals.test-support.js";
import { BLOCK_TYPES } from "../gguf/merge/blocks.js";
import { mergeTensors, planMerge } from "../merge/plan.js";
import { decodeMlx, encodeMlx } from "../mlx/mlx.js";
import { decodePeft } from "../peft/decode.js";
import { encodePeft } from "../peft/encode.js";
import { fromFloats, toFloats } from "../picture/floats.js";
import { type LoraFile, scalingOf } from "../picture/lora-file.js";
import { delta64, expectClose, fileOf, floats, sampleTarget } from "../picture/pictures.test-support.js";
import type { Tensor, TensorFile } from "../picture/tensor-file.js";
import { decodePyTorch, pytorch } from "../pytorch/pytorch.js";
import { decodeSafetensors, encodeSafetensors } from "../safetensors/safetensors.js";
import { unflattenModules } from "./flattened.js";
import { safetensors } from "./one-file.js";

const FIXTURES = join(import.meta.dirname, "fixtures");
const file = (...path: readonly string[]) => new Uint8Array(readFileSync(join(FIXTURES, ...path)));
const peftOf = (name: string): LoraFile =>
  decodePeft({ config: file(name, "adapter_config.json"), weights: file(name, "adapter_model.safetensors") });

const tensorsOf = (entries: Readonly<Record<string, readonly [values: ArrayLike<number>, ...shape: number[]]>>) => {
  const tensors = new Map<string, Tensor>();
  for (const [name, [values, ...shape]] of Object.entries(entries))
    tensors.set(name, fromFloats(Float32Array.from(values), shape));
  return tensors;
};
const oneFile = (tensors: ReadonlyMap<string, Tensor>, metadata: Record<string, string> = {}) =>
  encodeSafetensors({ tensors, metadata: new Map(Object.entries(metadata)) });
const renamed = (tensors: TensorFile["tensors"], name: (key: string) => string) =>
  new Map([...tensors].map(([key, tensor]) => [name(key), tensor]));

describe("PEFT's own merge is ours", () => {
  test.each(["dora", "gpt2-dora", "convolution", "convolution-dora", "tied"])("%s", (name) => {
    const [base, expected] = ["base", "merged"].map((part) => decodeSafetensors(file(name, `${part}.safetensors`)));
    const merged = mergeTensors(base!, peftOf(name), name === "tied" ? { tiedHead: true } : {});
    expect([...merged.tensors.keys()].sort()).toEqual([...expected!.tensors.keys()].sort());
    let changed = 0;
    for (const [key, tensor] of expected!.tensors) {
      const before = toFloats(base!.tensors.get(key)!, key);
      // PEFT merges the adapters of a tied embedding and head one after the other into their one tensor: twice the change.
      const values = toFloats(tensor, key).map((value, i) => (name === "tied" ? (value + before[i]!) / 2 : value));
      expectClose(toFloats(merged.tensors.get(key)!, key), values, 2e-6);
      if (values.some((value, i) => value !== before[i])) changed++;
    }
    expect(changed).toBeGreaterThan(0);
  });

  test.each(["dora", "gpt2-dora", "convolution", "convolution-dora", "tied"])(
    "%s is written back as it was",
    (name) => {
      const { weights } = encodePeft(peftOf(name));
      expect(Buffer.compare(weights, file(name, "adapter_model.safetensors"))).toBe(0);
    },
  );

  test("DoRA is not taken out again, since nothing tells the base", () => {
    const base = decodeSafetensors(file("dora", "base.safetensors"));
    expectRefusal(() => mergeTensors(base, peftOf("dora"), { unmerge: true }), "needs-base");
  });
});

describe("PyTorch's files", () => {
  const expected = peftOf("pickled");
  const alpha = { alpha: 3 };

  test.each(["adapter_model.bin", "legacy.bin", "views.bin", "doubles.bin"])(
    "%s is what the safetensors are",
    (name) => {
      expect(pytorch.decode(file("pickled", name), alpha).targets).toEqual(expected.targets);
    },
  );

  test("halves keep their numbers", () => {
    const [target] = pytorch.decode(file("pickled", "halves.bin"), alpha).targets;
    expect(target!.dtype).toBe("F32");
    expectClose(target!.loraA, expected.targets[0]!.loraA, 2 ** -11);
    expectClose(target!.loraB, expected.targets[0]!.loraB, 2 ** -8);
  });

  test("tensors are views of the file, and code is refused by its name", () => {
    const bytes = file("pickled", "adapter_model.bin");
    for (const { data } of decodePyTorch(bytes).tensors.values()) expect(data.buffer).toBe(bytes.buffer);
    const at = Buffer.from(bytes).indexOf("_rebuild_tensor_v2");
    const evil = bytes.slice();
    evil.set(new TextEncoder().encode("_rebuild_tensor_v9"), at);
    expectRefusal(() => decodePyTorch(evil), "unsupported-variant", /torch\._utils\._rebuild_tensor_v9/);
  });
});

describe("torchtune's names", () => {
  const bytes = file("torchtune", "adapter_0.pt");
  const base = { architecture: "llama", attentionHeads: 4, keyValueHeads: 2 };

  test("become what torchtune makes of them for PEFT", () => {
    const weights = file("torchtune", "peft.safetensors");
    const config = new TextEncoder().encode(JSON.stringify({ peft_type: "LORA", r: 2, lora_alpha: 8 }));
    const expected = new Map(decodePeft({ config, weights }).targets.map((target) => [target.module, target]));
    const { targets } = pytorch.decode(bytes, { alpha: 8, base });
    expect(targets.map(({ module }) => module).sort()).toEqual([...expected.keys()].sort());
    for (const target of targets) expect(target).toEqual(expected.get(target.module));
  });

  test("say what they need", () => {
    expectRefusal(() => pytorch.decode(bytes), "missing-config");
    expectRefusal(() => pytorch.decode(bytes, { alpha: 8 }), "needs-base");
    expectRefusal(
      () => pytorch.decode(bytes, { alpha: 8, base: { ...base, architecture: "phi3" } }),
      "unsupported-variant",
    );
    const qwen = pytorch.decode(bytes, { alpha: 8, base: { ...base, architecture: "qwen2" } });
    const stored = toFloats(decodePyTorch(bytes).tensors.get("layers.0.attn.q_proj.lora_b.weight")!, "b");
    const query = qwen.targets.find(({ module }) => module.endsWith("q_proj"))!;
    expect(query.loraB[3]).toBe(stored[6]);
  });
});

describe("keys of PEFT's that were saved as they were", () => {
  const { tensors, metadata } = decodeSafetensors(file("dora", "adapter_model.safetensors"));
  const read = (keys: ReadonlyMap<string, Tensor>, adapter?: string) =>
    decodePeft(
      { config: file("dora", "adapter_config.json"), weights: encodeSafetensors({ metadata, tensors: keys }) },
      adapter === undefined ? {} : { adapter },
    );
  const named = (name: string) => (key: string) =>
    key
      .replace(/(\.lora_[AB])\.weight$/, `$1.${name}.weight`)
      .replace(/(lora_(?:embedding_[AB]|magnitude_vector))$/, `$1.${name}`);

  test.each([
    ["an adapter's name", named("default")],
    ["torch.compile around all", (key: string) => `_orig_mod.${key}`],
    [
      "torch.compile around the model",
      (key: string) => key.replace("base_model.model.", "base_model.model._orig_mod."),
    ],
    ["DistributedDataParallel", (key: string) => `module.${key}`],
    [
      "both, and FSDP inside",
      (key: string) => `module._orig_mod.${key.replace(".layers.0.", ".layers.0._fsdp_wrapped_module.")}`,
    ],
    ["PEFT around PEFT", (key: string) => `base_model.model.${key}`],
    ["no prefix", (key: string) => key.replace("base_model.model.", "")],
  ])("%s", (_, rename) => {
    expect(read(renamed(tensors, rename)).targets).toEqual(peftOf("dora").targets);
  });

  test("several adapters want one to be named", () => {
    const both = new Map([...renamed(tensors, named("first")), ...renamed(tensors, named("second"))]);
    expectRefusal(() => read(both), "several-adapters");
    expectRefusal(() => read(both, "third"), "several-adapters");
    expect(read(both, "second").targets).toEqual(peftOf("dora").targets);
  });
});

describe("names of image models", () => {
  const [down, up] = [floats(8, 1), floats(6, 2)];
  const linear = (names: readonly [string, string], more = {}) =>
    safetensors.decode(oneFile(tensorsOf({ [names[0]]: [down, 2, 4], [names[1]]: [up, 3, 2], ...more }))).targets[0]!;

  test.each([
    [
      "kohya",
      "lora_unet_mid_attn_to_q.lora_down.weight",
      "lora_unet_mid_attn_to_q.lora_up.weight",
      "lora_unet_mid_attn_to_q",
    ],
    [
      "ComfyUI",
      "diffusion_model.blocks.0.q.lora_A.weight",
      "diffusion_model.blocks.0.q.lora_B.weight",
      "diffusion_model.blocks.0.q",
    ],
    ["diffusers", "unet.mid.to_q.lora_A.weight", "unet.mid.to_q.lora_B.weight", "unet.mid.to_q"],
    ["diffusers before PEFT", "unet.mid.to_q.lora.down.weight", "unet.mid.to_q.lora.up.weight", "unet.mid.to_q"],
    [
      "its processors",
      "unet.mid.attn1.processor.to_q_lora.down.weight",
      "unet.mid.attn1.processor.to_q_lora.up.weight",
      "unet.mid.attn1.to_q",
    ],
    [
      "and outputs",
      "unet.a.processor.to_out_lora.down.weight",
      "unet.a.processor.to_out_lora.up.weight",
      "unet.a.to_out.0",
    ],
    [
      "text encoders",
      "text_encoder.q.lora_linear_layer.down.weight",
      "text_encoder.q.lora_linear_layer.up.weight",
      "text_encoder.q",
    ],
  ])("%s: the factor is 1 without an alpha, else alpha / rank", (_, downName, upName, module) => {
    const target = linear([downName, upName]);
    expect(target).toMatchObject({ module, rank: 2, inFeatures: 4, outFeatures: 3 });
    expect(scalingOf(target)).toBe(1);
    expect(target.loraA).toEqual(down);
    const alphaName = `${downName.replace(/[._](?:lora_)?(?:lora|lora_linear_layer|lora_down|lora_A)[._].*$/, "")}.alpha`;
    if (!downName.includes("processor"))
      expect(scalingOf(linear([downName, upName], { [alphaName]: [[1]] }))).toBe(0.5);
  });

  test("a convolution's middle is folded into its first factor", () => {
    const mid = floats(2 * 2 * 9, 3);
    const [a, b] = [floats(2 * 3, 4), floats(4 * 2, 5)];
    const target = safetensors.decode(
      oneFile(
        tensorsOf({
          "m.lora_down.weight": [a, 2, 3, 1, 1],
          "m.lora_up.weight": [b, 4, 2, 1, 1],
          "m.lora_mid.weight": [mid, 2, 2, 3, 3],
        }),
      ),
    ).targets[0]!;
    expect(target).toMatchObject({ kind: "convolution", kernel: [3, 3], inFeatures: 27, outFeatures: 4, rank: 2 });
    const delta = delta64(target);
    // up (mid * down) by its definition, one element: output 1, channel 2, place 4 of the kernel.
    let sum = 0;
    for (let r = 0; r < 2; r++)
      for (let k = 0; k < 2; k++) sum += b[1 * 2 + r]! * mid[(r * 2 + k) * 9 + 4]! * a[k * 3 + 2]!;
    expect(delta[1 * 27 + 2 * 9 + 4]).toBeCloseTo(sum, 5);
  });

  test("diffusers' configurations count, each for its part", () => {
    const config = { "unet.r": 2, "unet.lora_alpha": 8, "text_encoder.r": 2, "text_encoder.lora_alpha": 1 };
    const names = ["unet.q", "text_encoder.q"];
    const tensors = tensorsOf(
      Object.fromEntries(
        names.flatMap((n) => [
          [`${n}.lora_A.weight`, [down, 2, 4]],
          [`${n}.lora_B.weight`, [up, 3, 2]],
        ]),
      ) as never,
    );
    const { targets } = safetensors.decode(oneFile(tensors, { lora_adapter_metadata: JSON.stringify(config) }));
    expect(targets.map((target) => [target.module, scalingOf(target)])).toEqual([
      ["unet.q", 4],
      ["text_encoder.q", 0.5],
    ]);
    const wrong = JSON.stringify({ ...config, "unet.r": 3 });
    expectRefusal(() => safetensors.decode(oneFile(tensors, { lora_adapter_metadata: wrong })), "bad-shape");
  });

  test.each(["m.hada_w1_a", "m.lokr_w1", "m.oft_blocks", "m.diff"])("%s is refused by name", (key) => {
    const tensors = tensorsOf({
      "m.lora_down.weight": [down, 2, 4],
      "m.lora_up.weight": [up, 3, 2],
      [key]: [down, 2, 4],
    });
    expectRefusal(() => safetensors.decode(oneFile(tensors)), "unsupported-variant");
  });

  test("a model tells where kohya's underscores were dots", () => {
    const flat = { ...sampleTarget("lora_te_text_model_layers_0_q_proj", 1) };
    const read = unflattenModules(fileOf(flat), [
      "text_model.layers.0.q_proj.weight",
      "text_model.layers.0.q_proj.bias",
    ]);
    expect(read.targets[0]!.module).toBe("text_model.layers.0.q_proj");
    const twice = ["text_model.layers.0.q_proj.weight", "text.model_layers.0.q_proj.weight"];
    expect(unflattenModules(fileOf(flat), twice).targets[0]!.module).toBe(flat.module);
  });
});

describe("mlx-lm's folders", () => {
  const adapter = {
    ...fileOf(sampleTarget("model.layers.0.self_attn.q_proj", 1), sampleTarget("model.layers.0.mlp.up_proj", 2)),
    baseModel: "a/b",
  };

  test("hold the same changes, there and back", () => {
    const folder = encodeMlx(adapter);
    const config = JSON.parse(new TextDecoder().decode(folder.config));
    expect(config).toMatchObject({
      fine_tune_type: "lora",
      model: "a/b",
      lora_parameters: { rank: 2, scale: 2, keys: ["mlp.up_proj", "self_attn.q_proj"] },
    });
    const back = decodeMlx(folder);
    expect(back.baseModel).toBe("a/b");
    const own = new Map(adapter.targets.map((target) => [target.module, target]));
    for (const target of back.targets) expectClose(delta64(target), delta64(own.get(target.module)!), 2 ** -22);
  });

  test("have one rank and scale for all", () => {
    const mixed = fileOf(sampleTarget("a", 1, { rank: 1, alpha: 3 }), sampleTarget("b", 2, { rank: 4 }));
    for (const [i, target] of decodeMlx(encodeMlx(mixed)).targets.entries()) {
      expect(target.rank).toBe(4);
      expectClose(delta64(target), delta64(mixed.targets[i]!), 2 ** -21);
    }
  });

  test("say what they cannot", () => {
    const dora = sampleTarget("a", 1, { magnitude: floats(3, 4) });
    expect(decodeMlx(encodeMlx(fileOf(dora))).targets[0]!.magnitude).toEqual(dora.magnitude);
    expectRefusal(() => encodeMlx(fileOf(dora, sampleTarget("b", 2))), "unsupported-variant", "b");
    expectRefusal(() => encodeMlx(fileOf(sampleTarget("a", 1, { bias: floats(3, 4) }))), "unsupported-variant");
    const { config, weights } = encodeMlx(adapter);
    const withConfig = (fields: object) =>
      new TextEncoder().encode(JSON.stringify({ ...JSON.parse(new TextDecoder().decode(config)), ...fields }));
    expectRefusal(() => decodeMlx({ config: withConfig({ fine_tune_type: "full" }), weights }), "unsupported-variant");
    expectRefusal(
      () => decodeMlx({ config: withConfig({ lora_parameters: { rank: 3, scale: 1 } }), weights }),
      "bad-shape",
    );
    expectRefusal(() => decodeMlx({ config: withConfig({ lora_parameters: { rank: 2 } }), weights }), "bad-config");
    expectRefusal(() => decodePeft({ config, weights }), "not-this-format", "adapter_config.json");
    expectRefusal(() => safetensors.decode(weights), "missing-config");
    expect(safetensors.decode(weights, { alpha: 4 }).targets).toEqual(decodeMlx({ config, weights }).targets);
  });
});

test.each([...BLOCK_TYPES.values()].filter(({ elements }) => elements > 1))(
  "blocks of $name are read and written as gguf does",
  ({ name, elements, bytes, dequantize, quantize }) => {
    const { tensors } = decodeSafetensors(file("blocks.safetensors"));
    const data = tensors.get(`${name}.data`)!.data.slice();
    const expected = toFloats(tensors.get(`${name}.read`)!, name);
    const read = new Float64Array(expected.length);
    for (let i = 0; i * bytes < data.length; i++) dequantize(new DataView(data.buffer), i * bytes, read, i * elements);
    expectClose(read, expected, 2 ** -22);
    const values = tensors.get(`${name}.values`);
    expect(values === undefined).toBe(quantize === undefined);
    if (values === undefined || quantize === undefined) return;
    const written = new Uint8Array(data.length);
    for (let i = 0; i * bytes < data.length; i++) {
      quantize(Float64Array.from(toFloats(values, name)), i * elements, new DataView(written.buffer), i * bytes);
    }
    expect(Buffer.compare(written, data)).toBe(0);
  },
);

test("a merge tells of a head that it unties, and of a vocabulary that has grown", () => {
  const base = new Map([
    ...tensorsOf({
      "model.embed_tokens.weight": [floats(16 * 8, 1), 16, 8],
      "model.layers.0.q_proj.weight": [floats(64, 2), 8, 8],
    }),
  ]);
  const embedding = sampleTarget("model.embed_tokens", 3, { kind: "embedding", inFeatures: 16, outFeatures: 8 });
  const head = sampleTarget("lm_head", 4, { inFeatures: 8, outFeatures: 16 });
  const plan = (targets: readonly (typeof head)[], tiedHead?: boolean) =>
    planMerge(base, fileOf(...targets), tiedHead === undefined ? {} : { tiedHead });
  expect([...plan([embedding], true).added]).toEqual([["lm_head.weight", { like: "model.embed_tokens.weight" }]]);
  expect(plan([embedding], true).config).toEqual({ tie_word_embeddings: false });
  expect(plan([embedding], false).added.size).toBe(0);
  expect(plan([embedding]).warnings).toHaveLength(1);
  expect([...plan([head], true).added.keys()]).toEqual(["lm_head.weight"]);
  expect(plan([head]).config).toEqual({ tie_word_embeddings: false });
  // The same change of both, as PEFT's ensure_weight_tying has it, leaves them one.
  const same = { ...embedding, loraA: head.loraB, loraB: head.loraA };
  expect(plan([head, same], true)).toMatchObject({ config: {}, warnings: [] });
  const grown = tensorsOf({ "model.embed_tokens.weight": [floats(20 * 8, 5), 20, 8] });
  const file = {
    ...fileOf(sampleTarget("model.layers.0.q_proj", 6, { inFeatures: 8, outFeatures: 8 })),
    replaced: grown,
  };
  expect(planMerge(base, file).config).toEqual({ vocab_size: 20 });
  const merged = mergeTensors({ tensors: base, metadata: new Map() }, file);
  expect(merged.tensors.get("model.embed_tokens.weight")!.shape).toEqual([20, 8]);
  const withHead = new Map([...base, ...tensorsOf({ "lm_head.weight": [floats(128, 7), 16, 8] })]);
  expectRefusal(() => planMerge(withHead, file), "bad-shape", "lm_head.weight");
  const wide = sampleTarget("model.embed_tokens", 3, { kind: "embedding", inFeatures: 20, outFeatures: 8 });
  expectRefusal(() => planMerge(base, fileOf(wide)), "bad-shape");
  // What the adapter's file carries of the grown embedding is what its change is added to.
  const carried = { ...fileOf(wide), carried: grown };
  const change = planMerge(base, carried).changes.get("model.embed_tokens.weight")!;
  expect("whole" in change && change.whole.shape).toEqual([20, 8]);
});
