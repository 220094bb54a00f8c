import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { initSync as initLearning, WasmMicroLoRA } from "@ruvector/learning-wasm";
import { LoraAdapter } from "@ruvector/ruvllm";
import { AdaptFeedbackWasm, initSync as initRuvllm, MicroLoraConfigWasm, MicroLoraWasm } from "@ruvector/ruvllm-wasm";
import { SonaEngine } from "@ruvector/sona";
import { type Problem, toPlain } from "../problem.js";
import { timed } from "../race.js";
import { expectedOutput, expectedWeights, worstError } from "../reference.js";
import type { Peer } from "./peer.js";

const { resolve } = createRequire(import.meta.url);
initLearning({ module: readFileSync(resolve("@ruvector/learning-wasm/ruvector_learning_wasm_bg.wasm")) });
initRuvllm({ module: readFileSync(resolve("@ruvector/ruvllm-wasm/ruvllm_wasm_bg.wasm")) });

/** Rows of a matrix as plain arrays. */
function rowsOf(values: Float32Array, rows: number): number[][] {
  const width = values.length / rows;
  return Array.from({ length: rows }, (_, row) => toPlain(values.subarray(row * width, (row + 1) * width)));
}

/** A [in, rank], flat, of a block with A [rank, in]. */
function inputMajor({ rank, inFeatures, weights }: Problem): Float32Array {
  return Float32Array.from(
    { length: inFeatures * rank },
    (_, k) => weights[(k % rank) * inFeatures + Math.floor(k / rank)]!,
  );
}

const ruvllm: Peer = {
  name: "@ruvector/ruvllm",
  arrays: "plain",
  learns: "forward, then backward with SGD; no EWC",
  make(problem) {
    const { rank, inFeatures, outFeatures, scaling, weights, rate } = problem;
    const x = toPlain(problem.x);
    const gradients = [toPlain(problem.gradient), toPlain(problem.gradient.map((g) => -g))];
    const make = (): LoraAdapter => {
      const adapter = new LoraAdapter({ rank, alpha: scaling * rank, dropout: 0 }, inFeatures, outFeatures);
      const loraB = rowsOf(weights.subarray(rank * inFeatures), rank);
      adapter.setWeights({ loraA: rowsOf(inputMajor(problem), inFeatures), loraB, scaling });
      return adapter;
    };
    const adapter = make();
    const learns = problem.operation === "request";
    return {
      name: this.name,
      run: timed((i) => {
        adapter.forward(x);
        if (learns) adapter.backward(x, gradients[i & 1]!, rate);
      }),
      verify() {
        const fresh = make();
        const delta = fresh.forward(x).map((y, o) => y - (x[o] ?? 0));
        const output = worstError(delta, expectedOutput(problem));
        if (!learns) return output;
        fresh.backward(x, gradients[0]!, rate);
        const { loraA, loraB } = fresh.getWeights();
        const rankMajor = Array.from({ length: rank }, (_, r) => loraA.map((row) => row[r]!));
        return Math.max(
          output,
          worstError([...rankMajor, ...loraB].flat(), expectedWeights({ ...problem, lambda: 0 })),
        );
      },
    };
  },
};

const ruvllmWasm: Peer = {
  name: "@ruvector/ruvllm-wasm",
  arrays: "typed",
  learns: "apply, adapt from a quality alone, applyUpdates; no gradient, no EWC",
  make(problem) {
    const { rank, inFeatures, outFeatures, scaling, weights } = problem;
    const config = new MicroLoraConfigWasm();
    config.rank = rank;
    if (config.rank !== rank) return null;
    config.inFeatures = inFeatures;
    config.outFeatures = outFeatures;
    config.alpha = scaling * rank;
    const state = JSON.parse(new MicroLoraWasm(config).toJson());
    state.adapter.lora_a = toPlain(inputMajor(problem));
    state.adapter.lora_b = toPlain(weights.subarray(rank * inFeatures));
    const lora = MicroLoraWasm.fromJson(JSON.stringify(state));
    const feedback = new AdaptFeedbackWasm(0.5);
    const { x } = problem;
    if (problem.operation === "forward") {
      const verify = (): number => worstError(lora.apply(x), expectedOutput(problem));
      return { name: this.name, run: timed(() => lora.apply(x)), verify };
    }
    const learn = (): void => {
      lora.apply(x);
      lora.adapt(x, feedback);
      lora.applyUpdates(problem.rate);
    };
    return { name: this.name, run: timed(learn) };
  },
};

const learningWasm: Peer = {
  name: "@ruvector/learning-wasm",
  arrays: "typed",
  learns: "forward, then adapt with a gradient; no EWC; its weights cannot be read",
  make({ operation, rank, inFeatures, outFeatures, scaling, rate, x, gradient }) {
    if (rank !== 2 || inFeatures > 256 || outFeatures !== inFeatures) return null;
    const lora = new WasmMicroLoRA(inFeatures, scaling * rank, rate);
    const gradients = [gradient, gradient.map((g) => -g)];
    const call = (i: number): void => {
      lora.forward_array(x);
      if (operation === "request") lora.adapt_array(gradients[i & 1]!);
    };
    return { name: this.name, run: timed(call) };
  },
};

const sona: Peer = {
  name: "@ruvector/sona",
  arrays: "plain",
  learns: "applyMicroLora, then a trajectory of one step and flush; its weights cannot be read",
  make({ operation, rank, inFeatures, outFeatures, rate, x, gradient }) {
    if (rank > 2 || inFeatures !== outFeatures) return null;
    const engine = SonaEngine.withConfig({ hiddenDim: inFeatures, microLoraRank: rank, microLoraLr: rate });
    const input = toPlain(x);
    const attention = toPlain(gradient);
    const call = (): void => {
      engine.applyMicroLora(input);
      if (operation === "forward") return;
      const trajectory = engine.beginTrajectory(input);
      engine.addTrajectoryStep(trajectory, input, attention, 0.5);
      engine.endTrajectory(trajectory, 0.9);
      engine.flush();
    };
    return { name: this.name, run: timed(call) };
  },
};

export const RUVECTOR: readonly Peer[] = [ruvllm, ruvllmWasm, learningWasm, sona];
