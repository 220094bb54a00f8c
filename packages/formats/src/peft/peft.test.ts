import fc from "fast-check";
import { MicroLora } from "microlora";
import { describe, expect, test } from "vitest";
import { expectRefusal } from "../base/refusals.test-support.js";
import { safetensors } from "../layouts/one-file.js";
import { fromMicroLora, toMicroLora } from "../native/micro-lora.js";
import { toFloats } from "../picture/floats.js";
import { delta64, expectClose, fileOf, floats, sampleTarget } from "../picture/pictures.test-support.js";
import { foldReplaced } from "../picture/replaced.js";
import type { Tensor } from "../picture/tensor-file.js";
import { decodeSafetensors, encodeSafetensors } from "../safetensors/safetensors.js";
import { decodePeft } from "./decode.js";
import { encodePeft } from "./encode.js";
import { baseOf, CASES, expectedOf, peftFolder, REFUSED } from "./goldens.test-support.js";

const json = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes));
const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

describe.each(CASES)("%s, as PEFT saved it", (name) => {
  const folder = peftFolder(name);
  const file = decodePeft(folder);

  test("every module changes by what it changes by in PEFT", () => {
    const expected = [...expectedOf(name).tensors].filter(([key]) => key.endsWith(".delta"));
    expect(file.targets.map(({ module }) => module).sort()).toEqual(
      expected.map(([key]) => key.slice(0, -".delta".length)).sort(),
    );
    for (const target of file.targets) {
      const delta = expectedOf(name).tensors.get(`${target.module}.delta`)!;
      expect(delta.shape).toEqual([target.outFeatures, target.inFeatures]);
      expectClose(delta64(target), toFloats(delta, target.module), 2 ** -22);
    }
  });

  test("the same weights are written back, byte for byte, and the same rules", () => {
    const back = encodePeft(file);
    // A bias beside B was scaled and is unscaled again, which rounds.
    if (name !== "bert-lora-bias") expect(Buffer.compare(back.weights, folder.weights)).toBe(0);
    const again = decodePeft(back);
    expect(again).toMatchObject({ targets: file.targets, baseModel: `tiny/${name}`, dropout: file.dropout });
    const [was, is] = [json(folder.config), json(back.config)];
    for (const field of [
      "r",
      "lora_alpha",
      "bias",
      "fan_in_fan_out",
      "use_rslora",
      "modules_to_save",
      "task_type",
      "lora_bias",
    ]) {
      if (field === "r" && name.includes("rslora")) continue; // three of four have it: the most common one is written
      if (field === "modules_to_save" && is[field] !== null)
        expect(was[field]).toEqual(expect.arrayContaining(is[field]));
      else expect(is[field], field).toEqual(was[field]);
    }
  });

  test("the same changes come out of one file, and with one rank and scaling for all", () => {
    expect(safetensors.decode(safetensors.encode(file))).toMatchObject({ targets: file.targets });
    const { config } = encodePeft(file, { uniform: true });
    expect(json(config)).toMatchObject({ rank_pattern: {}, alpha_pattern: {} });
    const uniform = decodePeft(encodePeft(file, { uniform: true, dtype: "F32" }));
    for (const [i, target] of uniform.targets.entries())
      expectClose(delta64(target), delta64(file.targets[i]!), 2 ** -22);
  });

  test("a MicroLora does what the adapter does", async () => {
    const folded = foldReplaced(file, (tensor) => baseOf(name).tensors.get(tensor), "drop");
    using lora = await MicroLora.fromState(toMicroLora(folded));
    for (const target of folded.targets) {
      const x = Float32Array.from({ length: target.inFeatures }, (_, i) => Math.sin(i + 1));
      const delta = delta64(target);
      const y = Array.from({ length: target.outFeatures }, (_, o) =>
        x.reduce((sum, value, i) => sum + value * delta[o * target.inFeatures + i]!, target.bias?.[o] ?? 0),
      );
      expectClose(lora.forward(x, target.module), y, 1e-5);
    }
    const back = decodePeft(encodePeft(fromMicroLora(lora.exportState())));
    expect(back.targets.map(({ rank }) => rank)).toEqual(file.targets.map(({ rank }) => rank));
    expect(back.targets.map(({ kind }) => kind)).toEqual(file.targets.map(({ kind }) => kind));
    for (const [i, target] of back.targets.entries()) expectClose(delta64(target), delta64(file.targets[i]!), 2 ** -21);
  });
});

test("what each case is there for", () => {
  const of = (name: string) => decodePeft(peftFolder(name));
  expect(of("llama-f16").targets[0]!.dtype).toBe("F16");
  expect(of("llama-bf16").targets[0]).toMatchObject({ dtype: "BF16", inFeatures: 24, rank: 1 });
  expect(of("llama-bf16").dropout).toBe(0.1);
  const patterns = new Map(of("llama-patterns").targets.map((target) => [target.module, target]));
  expect(patterns.get("model.layers.0.self_attn.q_proj")).toMatchObject({ rank: 3, alpha: 4 });
  expect(patterns.get("model.layers.1.self_attn.q_proj")).toMatchObject({ rank: 2, alpha: 4 });
  expect(patterns.get("model.layers.1.self_attn.v_proj")).toMatchObject({ rank: 2, alpha: 9 });
  expect(patterns.get("model.layers.0.mlp.gate_proj")).toMatchObject({ rank: 1, alpha: 5 });
  expect(of("llama-rslora").targets.every(({ rsLora }) => rsLora)).toBe(true);
  const embeddings = of("llama-embeddings");
  expect(embeddings.targets.filter(({ kind }) => kind === "embedding").map(({ module }) => module)).toEqual([
    "model.embed_tokens",
  ]);
  expect([...embeddings.carried.keys()]).toEqual(["lm_head.weight", "model.embed_tokens.weight"]);
  expect(of("gpt2").targets.every(({ weightLayout }) => weightLayout === "in-out")).toBe(true);
  expect([...of("bert-classifier").replaced.keys()]).toEqual(["classifier.bias", "classifier.weight"]);
  expect(of("bert-lora-bias").targets[0]!.bias).toHaveLength(16);
});

test("trained biases need the base; with it they become what they add", () => {
  const file = decodePeft(peftFolder("bert-lora-only"));
  expectRefusal(() => toMicroLora(file), "needs-base");
  const base = baseOf("bert");
  const folded = foldReplaced(file, (name) => base.tensors.get(name));
  expect(folded.replaced.size).toBe(0);
  for (const { module, bias } of folded.targets) {
    const before = toFloats(base.tensors.get(`${module}.bias`)!, module);
    expectClose(
      bias!.map((value, i) => value + before[i]!),
      toFloats(file.replaced.get(`${module}.bias`)!, module),
      1e-6,
    );
  }
  expectRefusal(() => foldReplaced(file, () => undefined), "missing-tensor");
});

test.each(REFUSED.filter((name) => name !== "dora"))("%s is refused by name", (name) => {
  expectRefusal(() => decodePeft(peftFolder("refused", name)), "unsupported-variant", /adapter_config.json: /);
});

const llama = peftFolder("llama");
const configWith = (fields: object) => bytesOf({ ...json(llama.config), ...fields });

test.each([
  [{ peft_type: "ADALORA" }, "unsupported-variant"],
  [{ use_something_new: true }, "unsupported-variant"],
  [{ init_lora_weights: "olora" }, "unsupported-variant"],
  [{ init_lora_weights: "OLoRA" }, "unsupported-variant"],
  [{ lora_alpha: "four" }, "bad-config"],
  [{ lora_dropout: 1.5 }, "bad-value"],
  [{ use_rslora: 1 }, "bad-config"],
  [{ alpha_pattern: { "(?<=a)b": 2 } }, "bad-config"],
  [{ alpha_pattern: { "q_proj)": 2 } }, "bad-config"],
  [{ alpha_pattern: { q_proj: "four" } }, "bad-config"],
  [{ base_model_name_or_path: ["../../etc/passwd"] }, "bad-config"],
] as const)("the configuration %j is refused", (fields, code) => {
  expectRefusal(() => decodePeft({ ...llama, config: configWith(fields) }), code);
});

/** Configs as earlier versions wrote them, fewer fields and others, and what a tool beside PEFT may add. */
const OTHER_CONFIGS: Readonly<Record<string, object>> = {
  "PEFT 0.2": {
    base_model_name_or_path: "tiny/llama",
    bias: "none",
    enable_lora: null,
    fan_in_fan_out: false,
    inference_mode: true,
    lora_alpha: 4,
    lora_dropout: 0.0,
    merge_weights: false,
    modules_to_save: null,
    peft_type: "LORA",
    r: 2,
    target_modules: ["q_proj", "k_proj", "v_proj", "o_proj"],
    task_type: "CAUSAL_LM",
  },
  "PEFT 0.6": {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: "tiny/llama",
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: "gaussian",
    layers_pattern: null,
    layers_to_transform: null,
    loftq_config: {},
    lora_alpha: 4,
    lora_dropout: 0.0,
    peft_type: "LORA",
    r: 2,
    rank_pattern: {},
    revision: "main",
    target_modules: ".*(q|k|v|o)_proj",
  },
  "little more than alpha": { base_model_name_or_path: "tiny/llama", lora_alpha: 4, r: 2 },
  "fields that are not known": {
    base_model_name_or_path: "tiny/llama",
    lora_alpha: 4.0,
    unsloth_fixed: true,
    x: { y: 1 },
  },
};

test.each(Object.keys(OTHER_CONFIGS))("a config of %s", (name) => {
  const { weights } = peftFolder("llama");
  const file = decodePeft({ config: bytesOf(OTHER_CONFIGS[name]), weights });
  const { targets, baseModel } = decodePeft(peftFolder("llama"));
  expect(file).toMatchObject({ targets, baseModel });
  expect(Buffer.compare(encodePeft(file).weights, weights)).toBe(0);
});

test("a pattern that would take exponential time elsewhere takes none", () => {
  const config = configWith({ alpha_pattern: { "([a-z_0-9.]+)+$x": 3 } });
  expect(decodePeft({ ...llama, config }).targets[0]!.alpha).toBe(4);
});

test("more patterns than any model has modules are refused before they are tried", () => {
  const patterns = Object.fromEntries(Array.from({ length: 300_000 }, (_, i) => [`m${i}`, 1]));
  expectRefusal(() => decodePeft({ ...llama, config: configWith({ alpha_pattern: patterns }) }), "too-large");
});

test("a message is short and plain whatever names a file has", () => {
  const tensors = new Map([
    [`\x1b[2J${"a".repeat(1e6)}`, decodeSafetensors(llama.weights).tensors.values().next().value!],
  ]);
  const weights = encodeSafetensors({ metadata: new Map(), tensors });
  try {
    decodePeft({ ...llama, weights });
    expect.unreachable();
  } catch (error) {
    expect((error as Error).message.length).toBeLessThan(800);
    expect((error as Error).message).not.toMatch(/\p{C}/u);
  }
});

test("a file without configuration wants alpha", () => {
  expectRefusal(() => safetensors.decode(llama.weights), "missing-config");
  expect(safetensors.decode(llama.weights, { alpha: 4 }).targets).toEqual(decodePeft(llama).targets);
});

test("odd ranks, alphas and module names survive", () => {
  const target = fc
    .record({
      rank: fc.integer({ min: 1, max: 5 }),
      alpha: fc.constantFrom(0, 1, 4, 16, 0.3, -2),
      inFeatures: fc.integer({ min: 1, max: 9 }),
      seed: fc.nat(99),
    })
    .chain((fields) => fc.constantFrom(true, false).map((rsLora) => ({ ...fields, rsLora })));
  fc.assert(
    fc.property(fc.array(target, { minLength: 1, maxLength: 5 }), (fields) => {
      const names = ["q", "a.q", "b.a.q", "x+y(z)", "layers.0.q"];
      const file = fileOf(...fields.map(({ seed, ...rest }, i) => sampleTarget(names[i]!, seed, rest)));
      const back = decodePeft(encodePeft(file));
      const byName = new Map(back.targets.map((found) => [found.module, found]));
      for (const expected of file.targets) {
        expect(byName.get(expected.module)!.rank).toBe(expected.rank);
        expectClose(delta64(byName.get(expected.module)!), delta64(expected), 2 ** -40);
      }
    }),
    { numRuns: 200 },
  );
});

test("PEFT's bias is one for all modules, and none beside embeddings", () => {
  const [biased, plain] = [sampleTarget("a", 1, { bias: floats(3, 1) }), sampleTarget("b", 2)];
  const back = decodePeft(encodePeft(fileOf(biased, plain)));
  expect(back.targets.map(({ bias }) => bias?.length)).toEqual([3, 3]);
  expectClose(back.targets[0]!.bias!, biased.bias!, 1e-6);
  expectRefusal(() => encodePeft(fileOf(biased, { ...plain, kind: "embedding" })), "bad-value", "b");
  const zeros = { ...plain, module: "z", kind: "embedding" as const, bias: new Float32Array(3) };
  expect(json(encodePeft(fileOf(zeros, plain)).config).lora_bias).toBe(false);
});

test("parts that do not belong together are refused", () => {
  const { tensors, metadata } = decodeSafetensors(llama.weights);
  const [nameA] = [...tensors.keys()].filter((key) => key.endsWith("lora_A.weight"));
  const change = (edit: (map: Map<string, Tensor>) => void) => {
    const map = new Map(tensors);
    edit(map);
    return { metadata, tensors: map };
  };
  const decode = (file: ReturnType<typeof change>) => safetensors.decode(encodeSafetensors(file), { alpha: 4 });
  expectRefusal(() => decode(change((map) => map.delete(nameA!))), "missing-tensor");
  expectRefusal(() => decode(change((map) => map.set("model.q_proj.lora_A.weight", map.get(nameA!)!))), "bad-name");
  const magnitude = nameA!.replace("lora_A.weight", "lora_magnitude_vector");
  expectRefusal(() => decode(change((map) => map.set(magnitude, map.get(nameA!)!))), "bad-shape");
  const conv = { ...tensors.get(nameA!)!, shape: [2, 4, 2, 2] };
  expectRefusal(() => decode(change((map) => map.set(nameA!, conv))), "unsupported-variant");
  const thin = { ...tensors.get(nameA!)!, shape: [32] };
  expectRefusal(() => decode(change((map) => map.set(nameA!, thin))), "bad-shape");
  const ints = { ...tensors.get(nameA!)!, dtype: "I32" as const };
  expectRefusal(() => decode(change((map) => map.set(nameA!, ints))), "unsupported-dtype");
  const infinite = { ...tensors.get(nameA!)!, data: tensors.get(nameA!)!.data.slice().fill(0xff) };
  expectRefusal(() => decode(change((map) => map.set(nameA!, infinite))), "not-finite");
});
