import { EwcState, type LoraAdapter } from "microlora";
import { AdaptedNetwork, type Example } from "../digits/adapted-network.js";
import type { DigitTasks } from "../digits/digits.js";
import { mean } from "../first-run.js";
import type { Matrix } from "../trial.js";
import type { ParityCase } from "./case.js";

/** How EWC adds up over tasks: each with an anchor of its own, or one anchor and a decaying sum of Fisher information. */
export interface EwcMode {
  readonly mode: "none" | "separate" | "online";
  readonly decay: number;
}

export interface ParitySettings {
  readonly learningRate: number;
  /** As avalanche means it, without a factor 1/2: ours is twice as much. */
  readonly lambda: number;
}

export interface ParityRun {
  readonly matrix: Matrix;
  /** Largest learningRate * lambda * fisher, which is cut off at 1. */
  readonly largestPull: number;
}

/** What avalanche does, by `adapt`, `applyUpdatesWithEwc` and `EwcState`. */
export async function runOurs(
  { tasks: { tasks, head }, seed }: ParityCase,
  { mode, decay }: EwcMode,
  { learningRate, lambda }: ParitySettings,
): Promise<ParityRun> {
  using network = await AdaptedNetwork.create("none", head, { learningRate, lambda: 0 }, seed);
  const { lora } = network;
  const states = new Map(
    lora.config.modules.map(({ module }) => [module, EwcState.fromAdapter(lora.getAdapter(module)!)]),
  );
  const matrix = [accuracies(network, tasks)];
  let largestPull = 0;
  for (const [task, { learning }] of tasks.entries()) {
    const holding = task > 0 && mode !== "none";
    for (const example of learning) {
      accumulate(network, example);
      if (holding) lora.applyUpdatesWithEwc(learningRate, states, 2 * lambda);
      else lora.applyUpdates(learningRate);
    }
    if (mode !== "none") addTask(network, states, learning, { mode, decay });
    for (const state of states.values()) {
      for (const part of [state.fisherA, state.fisherB, state.fisherBias]) {
        largestPull = part.reduce((most, fisher) => Math.max(most, 2 * learningRate * lambda * fisher), largestPull);
      }
    }
    matrix.push(accuracies(network, tasks));
  }
  for (const state of states.values()) state[Symbol.dispose]();
  return { matrix, largestPull };
}

/** The library's own way, one call a request: `learn`, with the Fisher information taken along the way, then `consolidate`. */
export async function runLearn(
  { tasks: { tasks, head }, seed }: ParityCase,
  { learningRate, lambda }: ParitySettings,
): Promise<ParityRun> {
  using network = await AdaptedNetwork.create("onlineEwc", head, { learningRate, lambda: 2 * lambda }, seed);
  const matrix = [accuracies(network, tasks)];
  let largestPull = 0;
  for (const { learning } of tasks) {
    for (const example of learning) network.learn(example);
    network.endTask();
    for (const { module } of network.lora.config.modules) {
      const fisher = network.lora.getAdapter(module)?.learningBlock("fisher") ?? [];
      for (const value of fisher) largestPull = Math.max(largestPull, 2 * learningRate * lambda * value);
    }
    matrix.push(accuracies(network, tasks));
  }
  return { matrix, largestPull };
}

function accuracies(network: AdaptedNetwork, tasks: DigitTasks["tasks"]): number[] {
  return tasks.map(({ unseen }) => mean(unseen.map((example) => Number(network.classify(example) === example.label))));
}

function accumulate(network: AdaptedNetwork, example: Example): void {
  for (const { module, x, gradient } of network.differentiate(example)) network.lora.adapt(x, { gradient, module });
}

/** Adds the Fisher information of a task, the mean of its examples' squared gradients at the weights that it ended with. */
function addTask(
  network: AdaptedNetwork,
  states: ReadonlyMap<string, EwcState>,
  examples: readonly Example[],
  { mode, decay }: EwcMode,
): void {
  const { lora } = network;
  const adapters = [...states.keys()].map((module) => lora.getAdapter(module)!);
  const ofTask = adapters.map((adapter) => EwcState.fromAdapter(adapter));
  for (const [i, example] of examples.entries()) {
    accumulate(network, example);
    for (const [k, adapter] of adapters.entries()) {
      const [a, b, bias] = pendingOf(adapter);
      ofTask[k]!.updateFisher(a, b, i / (i + 1), bias);
    }
    lora.applyUpdates(0);
  }
  for (const [k, adapter] of adapters.entries()) {
    join(states.get(adapter.module)!, ofTask[k]!, { mode, decay });
    ofTask[k]![Symbol.dispose]();
  }
}

/** The gradient that was accumulated: A, B, bias. */
function pendingOf(adapter: LoraAdapter): [Float32Array, Float32Array, Float32Array] {
  const pending = adapter.learningBlock("pending")!;
  const a = adapter.loraA.length;
  const b = a + adapter.loraB.length;
  return [pending.slice(0, a), pending.slice(a, b), pending.slice(b)];
}

/**
 * Joins a task to the earlier ones. Penalties with an anchor each, sum_k F_k (w - w_k)^2, have the gradient of one with
 * F = sum_k F_k and the anchor sum_k F_k w_k / F, so that one state holds them all.
 */
function join(all: EwcState, task: EwcState, { mode, decay }: EwcMode): void {
  for (const part of ["A", "B", "Bias"] as const) {
    const [fisher, anchor] = [all[`fisher${part}`], all[`optimal${part}`]];
    const [newFisher, newAnchor] = [task[`fisher${part}`], task[`optimal${part}`]];
    for (let i = 0; i < fisher.length; i++) {
      const old = decay * fisher[i]!;
      const sum = old + newFisher[i]!;
      const weighted = sum === 0 ? newAnchor[i]! : (old * anchor[i]! + newFisher[i]! * newAnchor[i]!) / sum;
      anchor[i] = mode === "separate" ? weighted : newAnchor[i]!;
      fisher[i] = sum;
    }
  }
}
