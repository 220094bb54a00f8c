import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { toFloats } from "../picture/floats.js";
import { scalingOf } from "../picture/lora-file.js";
import { decodeSafetensors } from "../safetensors/safetensors.js";
import { decodeMlx } from "./mlx.js";

const file = (name: string) => new Uint8Array(readFileSync(join(import.meta.dirname, "fixtures", name)));

test("what mlx-lm 0.32.2 saved is read: A [in, rank] and B [rank, out] times its scale", () => {
  const weights = file("adapters.safetensors");
  const [target] = decodeMlx({ config: file("adapter_config.json"), weights }).targets;
  expect(target).toMatchObject({ module: "model.layers.0.self_attn.q_proj", rank: 3, inFeatures: 16, outFeatures: 16 });
  expect(scalingOf(target!)).toBe(7);
  const { tensors } = decodeSafetensors(weights);
  const [a, b] = ["a", "b"].map((part) => toFloats(tensors.get(`${target!.module}.lora_${part}`)!, part));
  // Output 5 of input 2, by the definition of LoRALinear.fuse: (scale * B^T) A^T.
  const sum = (first: (r: number) => number, second: (r: number) => number) =>
    [0, 1, 2].reduce((s, r) => s + first(r) * second(r), 0);
  const theirs = sum(
    (r) => a![2 * 3 + r]!,
    (r) => b![r * 16 + 5]!,
  );
  expect(
    sum(
      (r) => target!.loraA[r * 16 + 2]!,
      (r) => target!.loraB[r * 16 + 5]!,
    ),
  ).toBeCloseTo(theirs, 6);
});
