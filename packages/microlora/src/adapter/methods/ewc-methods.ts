import { learningKernelsOf } from "../../kernels/learning-load.js";
import { BlockBound } from "./block-bound.js";
import type { EwcMethod, EwcRule, Method, MethodHost } from "./method.js";
import { createStep } from "./method-step.js";
import { ProductPenalty } from "./product-penalty.js";
import { type Bounds, savedSettings, settingsOf } from "./settings.js";

export interface OnlineEwcSettings {
  /** What a consolidation keeps of the Fisher of all tasks before, in [0, 1]; 1, the default, forgets no task. */
  readonly gamma?: number;
}

/**
 * Online EWC: one anchor and a decaying sum of the tasks' Fishers, F <- gamma * F + F_task, penalty lambda / 2 * sum F (w - w*)^2
 * on A, B and the bias (Schwarz et al. 2018, eq. 9; Kirkpatrick et al. 2017, eq. 3). F_task is the running mean of squared
 * gradients of single examples, with `fisherDecay`. The default.
 */
export function onlineEwc(given: OnlineEwcSettings = {}): Method {
  return { name: "online", settings: settingsOf("online", GAMMA, { ...given }) };
}

/**
 * EWC++: the Fisher is one moving average over all tasks, F <- (1 - a) F + a g^2 with a = 1 - `fisherDecay`, which a
 * consolidation does not start anew (Chaudhry et al. 2018, eq. 9).
 */
export function ewcPlusPlus(): Method {
  return { name: "ewc++", settings: {} };
}

export interface RWalkSettings {
  /** Keeps the denominator of a path score from 0; 1e-3 by default. */
  readonly epsilon?: number;
}

/**
 * RWalk: EWC++'s Fisher plus path scores, how much of the loss each parameter took away for how far it went in the Fisher's
 * metric: s <- s + max(0, -g dw) / (F dw^2 / 2 + epsilon) at each update (Chaudhry et al. 2018, eq. 6 with intervals of one
 * update). At the end of a task s is averaged with that of the tasks before, and F and s count alike, each over its largest value
 * (section 4.2), so lambda has another scale than EWC's. State: two more blocks of the parameters' layout.
 */
export function rwalk(given: RWalkSettings = {}): EwcMethod {
  return ewcMethod(RWALK, { ...given });
}

/**
 * The penalty on the product W = scaling * A B rather than on A and B, which act together only (as EWC-LoRA has it): lambda / 2 *
 * sum_ij F_ij (W - W*)_ij^2. An example's gradient is dLoss/dW_ij = x_i g_j, and F_ij = E[x_i^2 g_j^2] is held as p_i q_j with p =
 * E[x^2], q = E[g^2], the diagonal of K-FAC's factors (Martens & Grosse 2015, eq. 1; Ritter et al. 2018 for continual learning).
 * So it costs in + out floats, whatever the rank. A bias is held by q. `gamma` as in `onlineEwc`.
 */
export function productEwc(given: OnlineEwcSettings = {}): EwcMethod {
  return ewcMethod(PRODUCT, { ...given });
}

/** Scores whose largest is smaller tell nothing, and their inverse exceeds float32. */
const FAINT = 1e-30;

const GAMMA = { gamma: [0, 1, 1] } as const;

interface Definition<Key extends string> {
  readonly name: string;
  readonly bounds: Bounds<Key>;
  readonly lengths?: EwcMethod["lengths"];
  bind(host: MethodHost, settings: Readonly<Record<Key, number>>): EwcRule;
}

const RWALK: Definition<"epsilon"> = {
  name: "rwalk",
  bounds: { epsilon: [1e-12, 1e6, 1e-3] },
  bind: (host, { epsilon }) => pathRule(host, epsilon),
};

const PRODUCT: Definition<"gamma"> = {
  name: "product",
  bounds: GAMMA,
  lengths: ({ inFeatures, outFeatures }) => ({
    fisher: inFeatures + outFeatures + 1,
    fisherRunning: inFeatures + outFeatures,
  }),
  bind: (host, { gamma }) => new ProductPenalty(host, gamma),
};

function ewcMethod<Key extends string>(
  definition: Definition<Key>,
  given: Readonly<Partial<Record<string, number>>>,
): EwcMethod {
  const { name, bounds, lengths = () => ({}) } = definition;
  const settings = settingsOf(name, bounds, given);
  return {
    kind: "ewc",
    name,
    settings,
    lengths,
    bind: (host) => definition.bind(host, settings),
    createStep,
    withSettings: (saved) => ewcMethod(definition, savedSettings(name, bounds, saved)),
  };
}

function pathRule({ runtime, blocks, limits }: MethodHost, epsilon: number): EwcRule {
  const { parameters, length } = blocks;
  const { kernels, f32, scratch } = runtime;
  const learning = learningKernelsOf(runtime);
  const copy = (to: number, from: number) => f32.copyWithin(to >>> 2, from >>> 2, (from >>> 2) + length);
  const bound = new BlockBound(limits, "path");
  let old = 0;
  return {
    onFactors: true,
    reserve() {
      for (const block of ["path", "fisherRunning"] as const) blocks.reserve(block);
      scratch.output.reserve(length);
    },
    allowTracking() {},
    allowStep(_, reach, gradient) {
      bound.allow(1, (gradient * reach) / epsilon);
      return 0;
    },
    before() {
      old = scratch.output.reserve(length);
      copy(old, parameters);
    },
    track() {},
    after(rows) {
      const path = blocks.use("path");
      const running = blocks.use("fisherRunning");
      for (let j = 0; j < rows.count; j++) {
        const offset = rows.offset[j]!;
        const [x, n, factor] = [rows.x[j]!, rows.length[j]!, rows.factor[j]!];
        learning.walk(path + offset, running + offset, parameters + offset, old + offset, x, n, factor, epsilon);
      }
    },
    allowConsolidation() {
      for (const block of ["path", "pathKept"] as const) blocks.reserve(block);
    },
    consolidate() {
      const first = blocks.pointer("pathKept") === 0;
      const [fisher, path, kept] = [blocks.use("fisher"), blocks.use("path"), blocks.use("pathKept")];
      if (first) copy(kept, path);
      else {
        kernels.apply(kept, kept, length, 0.5);
        kernels.apply(kept, path, length, -0.5);
      }
      f32.fill(0, fisher >>> 2, (fisher >>> 2) + length);
      for (const part of [kept, blocks.pointer("fisherRunning")]) {
        const largest = part === 0 ? 0 : kernels.maxAbs(part, length);
        if (largest >= FAINT) kernels.apply(fisher, part, length, -1 / largest);
      }
      blocks.clear("path");
    },
  };
}
