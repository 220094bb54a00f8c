import { createHash } from "node:crypto";
import { encodeSafetensors, fromFloats, type Tensor } from "../../../../packages/formats/dist/index.js";
import { AdaptedNetwork, type Example } from "../digits/adapted-network.js";
import { type BaseNetwork, HIDDEN } from "../digits/base-network.js";
import type { DigitSetup, DigitTasks } from "../digits/digits.js";
import { PIXELS } from "../digits/images.js";
import { splitTasks } from "../digits/tasks.js";

/** One seed's tasks and the adapters' start: all that the other side needs. */
export interface ParityCase {
  readonly base: BaseNetwork;
  readonly tasks: DigitTasks;
  readonly seed: number;
}

export function drawCase({ base, images }: DigitSetup, seed: number): ParityCase {
  return { base, tasks: splitTasks(base, images.reported, seed), seed };
}

/** The case as a safetensors file. */
export async function encodeCase({ base, tasks, seed }: ParityCase): Promise<Uint8Array> {
  const { head } = tasks;
  using network = await AdaptedNetwork.create("none", head, { learningRate: 0, lambda: 0 }, seed);
  const [hidden, output] = ["hidden", "output"].map((module) => network.lora.getAdapter(module)!);
  const classes = head.bias.length;
  const tensors = new Map<string, Tensor>([
    ["hidden.weight", fromFloats(base.hidden, [HIDDEN, PIXELS])],
    ["hidden.bias", fromFloats(base.hiddenBias, [HIDDEN])],
    ["output.weight", fromFloats(head.weights, [classes, HIDDEN])],
    ["output.bias", fromFloats(head.bias, [classes])],
    ["hidden.loraA", fromFloats(hidden!.loraA, [hidden!.rank, PIXELS])],
    ["output.loraA", fromFloats(output!.loraA, [output!.rank, HIDDEN])],
    ["scaling", fromFloats(Float32Array.of(hidden!.scaling), [1])],
  ]);
  for (const [task, { learning, unseen }] of tasks.tasks.entries()) {
    addExamples(tensors, `learning.${task}`, learning);
    addExamples(tensors, `unseen.${task}`, unseen);
  }
  return encodeSafetensors({ metadata: new Map(), tensors });
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function addExamples(tensors: Map<string, Tensor>, name: string, examples: readonly Example[]): void {
  const pixels = new Float32Array(examples.length * PIXELS);
  for (const [row, example] of examples.entries()) pixels.set(example.pixels, row * PIXELS);
  tensors.set(`${name}.x`, fromFloats(pixels, [examples.length, PIXELS]));
  const labels = Float32Array.from(examples, ({ label }) => label);
  tensors.set(`${name}.y`, fromFloats(labels, [examples.length]));
}
