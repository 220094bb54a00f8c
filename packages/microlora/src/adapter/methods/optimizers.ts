import { refuseConfig } from "../../base/check.js";
import { learningKernelsOf } from "../../kernels/learning-load.js";
import type { AdapterBlocks } from "../blocks.js";
import { BlockBound, checkSquare } from "./block-bound.js";
import type { GradientRows } from "./gradient-rows.js";
import type { Method, MethodHost, Optimizer, Stepper } from "./method.js";
import { createStep } from "./method-step.js";
import { type Bounds, savedSettings, settingsOf } from "./settings.js";

/** Plain gradient steps, w <- w - rate * g, in the fused kernel; no state. The default. */
export function sgd(): Method {
  return { name: "sgd", settings: {} };
}

export interface MomentumSettings {
  /** Share of the last step that goes on, in [0, 0.9999]; 0.9 by default. */
  readonly beta?: number;
}

/**
 * m <- beta * m + g, w <- w - rate * m (heavy ball, Polyak 1964, as PyTorch's SGD has it without dampening).
 * State: one float a parameter.
 */
export function momentum(given: MomentumSettings = {}): Optimizer {
  return optimizer(MOMENTUM, { ...given });
}

const MOMENTUM: Definition<"beta"> = {
  name: "momentum",
  bounds: { beta: [0, 0.9999, 0.9] },
  bind({ runtime, blocks, limits }, { beta }) {
    const bound = new BlockBound(limits, "momentum");
    const kernels = learningKernelsOf(runtime);
    return {
      reserve: () => blocks.reserve("momentum"),
      allow: (rate, gradient) => rate * bound.allow(beta, gradient),
      step(rows, rate) {
        const m = blocks.use("momentum");
        eachRow(rows, blocks, (w, offset, j) => {
          kernels.momentum(w, m + offset, rows.x[j]!, rows.length[j]!, rows.factor[j]!, beta, rate);
        });
      },
    };
  },
};

export interface AdamWSettings {
  /** Decay of the mean of the gradients; 0.9 by default. Its square is below beta2. */
  readonly beta1?: number;
  /** Decay of the mean of their squares; 0.999 by default. */
  readonly beta2?: number;
  /** 1e-8 by default. */
  readonly epsilon?: number;
  /** Decoupled: w <- w - rate * weightDecay * w; 0 by default. */
  readonly weightDecay?: number;
}

/**
 * Adam (Kingma & Ba 2015, algorithm 1) with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2). The pull of EWC is
 * decoupled too: it is not divided by the root of the second moment. State: two floats a parameter.
 */
export function adamw(given: AdamWSettings = {}): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999 } = given;
  if (beta1 > 0 && beta1 ** 2 >= beta2) refuseConfig("adamw.beta1", beta1, "Pass less than the root of beta2");
  return optimizer(ADAMW, { ...given });
}

const ADAMW: Definition<keyof AdamWSettings> = {
  name: "adamw",
  bounds: {
    beta1: [0, 0.9999, 0.9],
    beta2: [0, 0.999999, 0.999],
    epsilon: [1e-12, 1, 1e-8],
    weightDecay: [0, 1e6, 0],
  },
  bind({ runtime, blocks, limits }, { beta1, beta2, epsilon, weightDecay }) {
    const bound = new BlockBound(limits, "momentum");
    const kernels = learningKernelsOf(runtime);
    // |m| <= sqrt(v (1 - beta1)^2 / ((1 - beta2) (1 - beta1^2 / beta2))) by Cauchy-Schwarz; the correction adds 1 / (1 - beta1).
    const reach = 1 / Math.sqrt((1 - beta2) * (1 - beta1 ** 2 / Math.max(beta2, beta1 ** 2 + 1e-9)));
    return {
      reserve() {
        blocks.reserve("momentum");
        blocks.reserve("secondMoment");
      },
      allow(rate, gradient) {
        checkSquare(gradient);
        bound.allow(beta1, gradient);
        return rate * reach;
      },
      step(rows, rate, update) {
        const m = blocks.use("momentum");
        const s = blocks.use("secondMoment");
        const corrected = rate / (1 - beta1 ** update);
        const root = 1 / Math.sqrt(1 - beta2 ** update);
        const keep = Math.max(0, 1 - rate * weightDecay);
        eachRow(rows, blocks, (w, offset, j) => {
          const { x, length, factor } = rows;
          const [n, f] = [length[j]!, factor[j]!];
          kernels.adam(w, m + offset, s + offset, x[j]!, n, f, beta1, beta2, corrected, root, epsilon, keep);
        });
      },
    };
  },
};

export interface AdaptiveRowsSettings {
  /** Decay of the mean of the squares; 0.99 by default. */
  readonly beta2?: number;
  /** 1e-8 by default. */
  readonly epsilon?: number;
}

/**
 * One second moment a row instead of one a parameter, s <- beta2 * s + (1 - beta2) * mean(g^2), step rate * g / (sqrt(s) + epsilon):
 * Adam-mini's blocks (Zhang et al. 2024, algorithm 1) without its first moment, each row of A, row of B and the bias a block.
 * The mean is known before the step, since a row's gradient is a number times x. State: 2 * rank + 1 floats.
 */
export function adaptiveRows(given: AdaptiveRowsSettings = {}): Optimizer {
  return optimizer(ADAPTIVE_ROWS, { ...given });
}

const ADAPTIVE_ROWS: Definition<keyof AdaptiveRowsSettings> = {
  name: "adaptive-rows",
  bounds: { beta2: [0, 0.999999, 0.99], epsilon: [1e-12, 1, 1e-8] },
  lengths: ({ rank, bias }) => ({ secondMoment: 2 * rank + bias }),
  bind({ runtime, blocks }, { beta2, epsilon }) {
    const { shape, length } = blocks;
    const reach = Math.sqrt(Math.max(shape.inFeatures, shape.outFeatures) / (1 - beta2));
    return {
      reserve: () => blocks.reserve("secondMoment"),
      allow(rate, gradient) {
        checkSquare(gradient * Math.sqrt(length));
        return rate * reach;
      },
      step(rows, rate, update) {
        const { kernels, f32 } = runtime;
        const first = blocks.use("secondMoment") >>> 2;
        const root = 1 / Math.sqrt(1 - beta2 ** update);
        eachRow(rows, blocks, (w, _, j) => {
          const [x, n, factor] = [rows.x[j]!, rows.length[j]!, rows.factor[j]!];
          const square = (factor * factor * kernels.sumSquares(x, n)) / n;
          const moment = Math.fround(beta2 * f32[first + j]! + (1 - beta2) * square);
          f32[first + j] = moment >= 2 ** -126 ? moment : 0;
          kernels.apply(w, x, n, (rate * factor) / (root * Math.sqrt(f32[first + j]!) + epsilon));
        });
      },
    };
  },
};

interface Definition<Key extends string> {
  readonly name: string;
  readonly bounds: Bounds<Key>;
  readonly lengths?: Optimizer["lengths"];
  bind(host: MethodHost, settings: Readonly<Record<Key, number>>): Stepper;
}

function optimizer<Key extends string>(
  definition: Definition<Key>,
  given: Readonly<Partial<Record<string, number>>>,
): Optimizer {
  const { name, bounds, lengths = () => ({}) } = definition;
  const settings = settingsOf(name, bounds, given);
  return {
    kind: "optimizer",
    name,
    settings,
    lengths,
    bind: (host) => definition.bind(host, settings),
    createStep,
    withSettings: (saved) => optimizer(definition, savedSettings(name, bounds, saved)),
  };
}

function eachRow(
  rows: GradientRows,
  blocks: AdapterBlocks,
  visit: (w: number, offset: number, j: number) => void,
): void {
  for (let j = 0; j < rows.count; j++) visit(blocks.parameters + rows.offset[j]!, rows.offset[j]!, j);
}
