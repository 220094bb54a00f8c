import { MicroLora } from "microlora";
import { endTask, learningOf } from "../holding.js";
import type { Knobs } from "../knobs.js";
import { type SettingName, settingOf } from "../settings.js";
import { affine, type BaseNetwork, crossEntropyGradient, HIDDEN, relu, transposed } from "./base-network.js";
import { PIXELS } from "./images.js";

const RANK = 8;

/** A head over the hidden layer: the base's own, or one that starts from zero. */
export interface Head {
  /** [classes, HIDDEN] */
  readonly weights: Float32Array;
  readonly bias: Float32Array;
}

/** An image with what the frozen hidden layer makes of it, which no adapter changes and so is computed once. */
export interface Example {
  readonly pixels: Float32Array;
  /** Hidden layer before relu. */
  readonly hidden: Float32Array;
  readonly label: number;
}

export interface LayerGradient {
  readonly module: string;
  readonly x: Float32Array;
  /** dLoss/dOutput. */
  readonly gradient: Float32Array;
}

export function exampleOf(base: BaseNetwork, pixels: Float32Array, label: number): Example {
  const hidden = new Float32Array(HIDDEN);
  affine(base.hidden, base.hiddenBias, pixels, hidden);
  return { pixels, hidden, label };
}

/** The frozen network with adapters on both of its layers, which learns from one labelled image at a time. */
export class AdaptedNetwork {
  readonly #name: SettingName;
  readonly #head: Head;
  readonly #lora: MicroLora;
  readonly #h = new Float32Array(HIDDEN);
  readonly #gradientH = new Float32Array(HIDDEN);
  readonly #scores: Float32Array;

  private constructor(name: SettingName, head: Head, lora: MicroLora) {
    this.#name = name;
    this.#head = head;
    this.#lora = lora;
    this.#scores = new Float32Array(head.bias.length);
  }

  static async create(name: SettingName, head: Head, knobs: Knobs, seed: number): Promise<AdaptedNetwork> {
    const { slow } = settingOf(name);
    const lora = await MicroLora.create({
      targetModules: ["hidden", "output"],
      dimensions: {
        hidden: { inFeatures: PIXELS, outFeatures: HIDDEN },
        output: { inFeatures: HIDDEN, outFeatures: head.bias.length },
      },
      rank: RANK,
      bias: true,
      seed,
      learning: learningOf(name, knobs),
    });
    lora.enabled = slow !== "none";
    // Without A there is nothing but the bias to learn: a constant offset.
    if (slow === "offset") for (const module of ["hidden", "output"]) lora.getAdapter(module)?.loraA.fill(0);
    return new AdaptedNetwork(name, head, lora);
  }

  get lora(): MicroLora {
    return this.#lora;
  }

  /** The class that scores highest. @param head another one over the same hidden layer, which no adapter acts on */
  classify(example: Example, head?: Head): number {
    this.#hide(example);
    const scores = head === undefined ? this.#scores : new Float32Array(head.bias.length);
    const { weights, bias } = head ?? this.#head;
    affine(weights, bias, this.#h, scores);
    if (head === undefined) this.#lora.forwardAdd(this.#h, "output", scores);
    return scores.indexOf(Math.max(...scores));
  }

  /** One example: forward, the exact gradients at both layers, and a step of each adapter. */
  learn(example: Example): void {
    for (const { module, x, gradient } of this.differentiate(example)) this.#lora.learn(x, { gradient, module });
  }

  /** The inputs of both adapters and the exact gradients at their outputs, in arrays that the next call writes anew. */
  differentiate(example: Example): readonly LayerGradient[] {
    this.classify(example);
    crossEntropyGradient(this.#scores, example.label);
    this.#gradientH.fill(0);
    transposed(this.#head.weights, this.#scores, this.#gradientH);
    this.#throughAdapter();
    for (let i = 0; i < HIDDEN; i++) if (this.#h[i] === 0) this.#gradientH[i] = 0;
    return [
      { module: "output", x: this.#h, gradient: this.#scores },
      { module: "hidden", x: example.pixels, gradient: this.#gradientH },
    ];
  }

  endTask(): void {
    endTask(this.#name, this.#lora);
  }

  [Symbol.dispose](): void {
    this.#lora[Symbol.dispose]();
  }

  #hide({ pixels, hidden }: Example): void {
    this.#h.set(hidden);
    this.#lora.forwardAdd(pixels, "hidden", this.#h);
    relu(this.#h);
  }

  /** Adds scaling * (g B) A of the output's adapter to the gradient at the hidden layer. */
  #throughAdapter(): void {
    if (!this.#lora.enabled) return;
    const { loraA, loraB, rank, scaling, outFeatures } = this.#lora.getAdapter("output")!;
    const v = new Float32Array(rank);
    for (let r = 0; r < rank; r++) {
      for (let o = 0; o < outFeatures; o++) v[r]! += scaling * this.#scores[o]! * loraB[r * outFeatures + o]!;
    }
    transposed(loraA, v, this.#gradientH);
  }
}
