import { createRequire } from "node:module";
import { dirname, sep } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { setThreadsCount, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { timed } from "../race.js";
import { expectedOutput, expectedWeights, worstError } from "../reference.js";
import { onnxModel } from "./onnx-model.js";
import type { Peer } from "./peer.js";

const onnxruntime: Peer = {
  name: "onnxruntime-node",
  arrays: "typed",
  async make(problem) {
    if (problem.operation !== "forward") return null;
    const { inFeatures, outFeatures } = problem;
    const session = await InferenceSession.create(onnxModel(problem), { intraOpNumThreads: 1, interOpNumThreads: 1 });
    const feeds = { x: new Tensor("float32", problem.x, [1, inFeatures]) };
    const y = new Float32Array(outFeatures);
    const fetches = { y: new Tensor("float32", y, [1, outFeatures]) };
    return {
      name: this.name,
      async run(iterations) {
        const from = performance.now();
        for (let i = 0; i < iterations; i++) await session.run(feeds, fetches);
        return (performance.now() - from) * 1e6;
      },
      async verify() {
        const { y } = await session.run(feeds);
        return worstError(y!.data as Float32Array, expectedOutput(problem));
      },
    };
  },
};

const tfjs: Peer = {
  name: "@tensorflow/tfjs, wasm backend",
  arrays: "typed",
  learns: "forward, then automatic gradients with SGD; no EWC",
  async make(problem) {
    await startTensorflow();
    const { rank, inFeatures, outFeatures, scaling, weights, rate, x } = problem;
    const make = () => ({
      a: tf.variable(tf.transpose(tf.tensor2d(weights.slice(0, rank * inFeatures), [rank, inFeatures]))),
      b: tf.variable(tf.tensor2d(weights.slice(rank * inFeatures), [rank, outFeatures])),
    });
    const { a, b } = make();
    const delta = (a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D =>
      tf.matMul(tf.mul(tf.matMul(tf.tensor2d(x, [1, inFeatures]), a), scaling), b);
    const read = (tensor: () => tf.Tensor): Float32Array => tf.tidy(() => tensor().dataSync() as Float32Array);
    const gradients = [problem.gradient, problem.gradient.map((g) => -g)];
    const sgd = tf.train.sgd(rate);
    const learn = (a: tf.Variable, b: tf.Variable, i: number): void => {
      const loss = (): tf.Scalar =>
        tf.sum(tf.mul(delta(a as tf.Tensor2D, b as tf.Tensor2D), tf.tensor2d(gradients[i & 1]!, [1, outFeatures])));
      sgd.minimize(loss, false, [a, b]);
    };
    const learns = problem.operation === "request";
    return {
      name: this.name,
      run: timed((i) => {
        read(() => delta(a as tf.Tensor2D, b as tf.Tensor2D));
        if (learns) learn(a, b, i);
      }),
      verify() {
        const fresh = make();
        const output = worstError(
          read(() => delta(fresh.a as tf.Tensor2D, fresh.b as tf.Tensor2D)),
          expectedOutput(problem),
        );
        if (!learns) return output;
        learn(fresh.a, fresh.b, 0);
        const after = [...read(() => tf.transpose(fresh.a)), ...read(() => tf.clone(fresh.b))];
        return Math.max(output, worstError(after, expectedWeights({ ...problem, lambda: 0 })));
      },
    };
  },
};

async function startTensorflow(): Promise<void> {
  if (tf.getBackend() === "wasm") return;
  const main = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm");
  setWasmPaths(dirname(main) + sep);
  setThreadsCount(1);
  await tf.setBackend("wasm");
  await tf.ready();
}

export const RUNTIMES: readonly Peer[] = [onnxruntime, tfjs];
