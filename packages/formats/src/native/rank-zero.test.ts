import { MicroLora } from "microlora";
import { expect, test } from "vitest";
import { FILE_FORMATS } from "../formats/formats.js";
import { encodeMlx, encodePeft, fromMicroLora } from "../index.js";
import { PLAIN_FILE } from "../picture/lora-file.js";
import { native } from "./micro-lora.js";

const REFUSAL = { name: "FormatError", code: "unsupported-variant", where: "query.rank" };

/** An adapter of rank 0, as a `Personalizer` has one by default: a bias alone. */
async function biasAlone(): Promise<MicroLora> {
  return MicroLora.create({ hiddenSize: 4, rank: 0, bias: true, targetModules: ["query"] });
}

test("a bias alone is refused as such when it leaves the core, from its state or its file", async () => {
  using lora = await biasAlone();
  expect(() => fromMicroLora(lora.exportState())).toThrow(expect.objectContaining(REFUSAL));
  expect(() => native.decode(lora.toBytes())).toThrow(expect.objectContaining(REFUSAL));
});

test.each([
  ...Object.entries(FILE_FORMATS).map(([name, { encode }]) => [name, encode] as const),
  ["peft", encodePeft] as const,
  ["mlx", encodeMlx] as const,
])("%s does not write it", (_, encode) => {
  const none = new Float32Array(0);
  const target = {
    ...{ module: "query", kind: "linear" as const, rank: 0, alpha: 1, rsLora: false, inFeatures: 4, outFeatures: 4 },
    ...{ loraA: none, loraB: none, bias: new Float32Array(4), dtype: "F32" as const },
  };
  const file = { ...PLAIN_FILE, baseModel: "base", targets: [target] };
  expect(() => encode(file as never, { architecture: "llama" } as never)).toThrow(expect.objectContaining(REFUSAL));
});
