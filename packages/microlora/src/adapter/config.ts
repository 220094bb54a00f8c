import { checkObject, type Filled, refuseConfig, withDefaults } from "../base/check.js";
import type { KernelsName } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";
import { paramCountOf } from "./blocks.js";
import { type Init, initialA } from "./initial.js";
import type { Method, Methods } from "./methods/method.js";
import { type AdapterSpec, shapeOf } from "./spec.js";

/** The usual names of a transformer's modules; any other name is as good. */
export const TARGET_MODULES = [
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "gate_proj",
  "up_proj",
  "down_proj",
  "embed",
  "lm_head",
] as const;

/** The usual choices of them. */
export const TARGET_MODULE_SETS = {
  default: ["q_proj", "v_proj"],
  attention: ["q_proj", "k_proj", "v_proj", "o_proj"],
  mlp: ["gate_proj", "up_proj", "down_proj"],
} as const;

/** Widths of one module. */
export interface ModuleDimensions {
  /** Width of the input. */
  readonly inFeatures: number;
  /** Width of the output. */
  readonly outFeatures: number;
}

/** How weights move. */
export interface LearningConfig {
  /** Step length of `learn`; 0.01 by default. */
  readonly learningRate?: number;
  /** Weight of the EWC penalty; 1 by default. Zero keeps no Fisher information and no anchor. */
  readonly ewcLambda?: number;
  /** Decay of the running Fisher information, in [0, 1]; 0.99 by default. */
  readonly fisherDecay?: number;
  /** How to step: `sgd()` by default, `momentum()`, `adamw()`, `adaptiveRows()`. */
  readonly optimizer?: Method;
  /** How to hold on to the past: `onlineEwc()` by default, `ewcPlusPlus()`, `rwalk()`, `productEwc()`. */
  readonly ewc?: Method;
  /** The learning rate over time; constant by default. */
  readonly schedule?: Method;
  /** Bound on the norm of each step's gradient, a module; null, the default, for none. */
  readonly clipNorm?: number | null;
}

/** Options of `MicroLora.create`. */
export interface MicroLoraConfig {
  /** Width of a square module, as inFeatures and outFeatures. */
  readonly hiddenSize?: number;
  /** Width of every module's input, where `dimensions` does not tell it; `hiddenSize` by default. */
  readonly inFeatures?: number;
  /** Width of every module's output, where `dimensions` does not tell it; `hiddenSize` by default. */
  readonly outFeatures?: number;
  /** Widths of single modules, where they differ from the above; by name, or by the end of a path as below. */
  readonly dimensions?: Readonly<Record<string, ModuleDimensions>>;
  /** 0 to 64; 2 by default. 0, which needs `bias`, learns the bias alone and reads no input. */
  readonly rank?: number;
  /** 4 by default. */
  readonly alpha?: number;
  /**
   * Ranks of single modules, where they differ from `rank`. As in PEFT, a key is a module's name or the end of its path:
   * `{ v_proj: 8 }` is also for `layers.3.attn.v_proj`. A whole name comes first, then the first key that fits.
   */
  readonly rankPattern?: Readonly<Record<string, number>>;
  /** The same of `alpha`. */
  readonly alphaPattern?: Readonly<Record<string, number>>;
  /** Scales by alpha / sqrt(rank) instead of alpha / rank. */
  readonly rsLora?: boolean;
  /** Probability in [0, 1) of dropping an input while training; 0 by default. */
  readonly dropout?: number;
  /** Learns a bias beside A and B. */
  readonly bias?: boolean;
  /** How A is drawn at first; `kaiming` by default. */
  readonly init?: Init;
  /** A non-negative safe integer; 0 by default. */
  readonly seed?: number;
  /** Module names, or the name of one of `TARGET_MODULE_SETS`; `default` by default. */
  readonly targetModules?: readonly string[] | keyof typeof TARGET_MODULE_SETS;
  /** How weights move; SGD with online EWC by default. */
  readonly learning?: LearningConfig;
  /** Fingerprint of the base model, which a checkpoint carries and `fromBytes` compares. */
  readonly baseModel?: string;
  /** Memory and kernels to live in; shared by all that name none. */
  readonly runtime?: Runtime;
  /** Forces the kernels of the shared runtime. */
  readonly kernels?: KernelsName;
}

export type ResolvedLearning = Required<LearningConfig>;

/** A checked configuration with every default filled in; what a checkpoint holds. */
export interface ResolvedConfig {
  /** Scales by alpha / sqrt(rank) instead of alpha / rank. */
  readonly rsLora: boolean;
  /** Probability of dropping an input while training, in [0, 1). */
  readonly dropout: number;
  /** Whether a bias is learned beside A and B. */
  readonly bias: boolean;
  /** How A is drawn at first. */
  readonly init: Init;
  /** Seed of the first weights. */
  readonly seed: number;
  /** How weights move. */
  readonly learning: ResolvedLearning;
  /** Fingerprint of the base model; null where none was given. */
  readonly baseModel: string | null;
  /** The modules, in the order in which they were named. */
  readonly modules: readonly ResolvedModule[];
}

/** One module with its widths, its rank and its alpha. */
export interface ResolvedModule extends ModuleDimensions {
  /** Name of the module. */
  readonly module: string;
  /** Rank of A and B. */
  readonly rank: number;
  /** Numerator of the scaling. */
  readonly alpha: number;
}

const MAX_RANK = 64;
const MAX_FEATURES = 2 ** 24;

/** Every option of `learning`. */
export const LEARNING_DEFAULTS: ResolvedLearning = {
  learningRate: 0.01,
  ewcLambda: 1,
  fisherDecay: 0.99,
  clipNorm: null,
  optimizer: { name: "sgd", settings: {} },
  ewc: { name: "online", settings: {} },
  schedule: { name: "constant", settings: {} },
};

/** Every option of a MicroLora. */
const DEFAULTS = {
  hiddenSize: undefined,
  inFeatures: undefined,
  outFeatures: undefined,
  dimensions: {},
  rank: 2,
  alpha: 4,
  rankPattern: {},
  alphaPattern: {},
  rsLora: false,
  dropout: 0,
  bias: false,
  init: "kaiming",
  seed: 0,
  targetModules: "default",
  learning: undefined,
  baseModel: null,
  runtime: undefined,
  kernels: undefined,
} as const;

type Options = Filled<MicroLoraConfig, typeof DEFAULTS>;

/** Checks a configuration and fills in the defaults. @throws MicroLoraError `invalid-config` */
export function resolveConfig(config: MicroLoraConfig): ResolvedConfig {
  const options = withDefaults(DEFAULTS, config);
  const { rsLora, dropout, bias, init, seed, learning, baseModel } = options;
  const resolved: ResolvedConfig = {
    rsLora,
    dropout: unsignedZero(dropout),
    bias,
    init,
    seed: unsignedZero(seed),
    learning: resolveLearning(learning),
    baseModel,
    modules: resolveModules(options),
  };
  checkConfig(resolved);
  return resolved;
}

/** Fills in the defaults, which are also what the first version of a checkpoint leaves out. */
export function resolveLearning(given?: LearningConfig): ResolvedLearning {
  const learning = withDefaults(LEARNING_DEFAULTS, given, "learning");
  const plain = (method: Method): Method => ({ name: method?.name, settings: method?.settings });
  return {
    learningRate: unsignedZero(learning.learningRate),
    ewcLambda: unsignedZero(learning.ewcLambda),
    fisherDecay: unsignedZero(learning.fisherDecay),
    clipNorm: learning.clipNorm,
    optimizer: plain(learning.optimizer),
    ewc: plain(learning.ewc),
    schedule: plain(learning.schedule),
  };
}

/** The number itself, but 0 for -0, which JSON does not tell apart. */
export function unsignedZero(value: number): number {
  return value === 0 ? 0 : value;
}

/** Refuses a resolved configuration, from a caller or from a file, that no adapter could have. */
export function checkConfig(config: ResolvedConfig): void {
  boolean(config.rsLora, "rsLora");
  number(config.dropout, 0, 1 - 2 ** -24, "dropout");
  boolean(config.bias, "bias");
  if (typeof config.init !== "string" || !Object.hasOwn(initialA, config.init))
    refuseConfig("init", config.init, 'Pass "kaiming" or "original"');
  integer(config.seed, 0, Number.MAX_SAFE_INTEGER, "seed");
  const { learning } = config;
  for (const key of ["learningRate", "ewcLambda"] as const) number(learning[key], 0, 1e30, `learning.${key}`);
  number(learning.fisherDecay, 0, 1, "learning.fisherDecay");
  if (learning.clipNorm !== null) number(learning.clipNorm, 1e-30, 1e30, "learning.clipNorm");
  for (const kind of ["optimizer", "ewc", "schedule"] as const) method(learning[kind], `learning.${kind}`);
  number(learning.ewc.settings.gamma ?? 1, 0, 1, "learning.ewc.gamma");
  if (config.baseModel !== null && typeof config.baseModel !== "string") {
    refuseConfig("baseModel", config.baseModel, "Pass a string");
  }
  if (config.modules.length === 0) refuseConfig("targetModules", "[]", "Name at least one module");
  const names = new Set<string>();
  for (const { module, inFeatures, outFeatures, rank, alpha } of config.modules) {
    if (typeof module !== "string" || module === "") refuseConfig("targetModules", module, "Pass names of modules");
    if (names.has(module)) refuseConfig("targetModules", module, "Name each module once");
    names.add(module);
    integer(inFeatures, 1, MAX_FEATURES, `${module}.inFeatures`);
    integer(outFeatures, 1, MAX_FEATURES, `${module}.outFeatures`);
    integer(rank, config.bias ? 0 : 1, MAX_RANK, `${module}.rank`);
    number(alpha, -1e30, 1e30, `${module}.alpha`);
  }
}

/** Bytes of the parameters that a configuration asks for, before anything is built. */
export function memoryBytes(config: MicroLoraConfig): number {
  const { modules, bias } = resolveConfig(config);
  return modules.reduce((sum, module) => sum + 4 * paramCountOf(shapeOf({ ...module, bias })), 0);
}

/** The specs of a model's adapters, in the order of its modules. */
export function adapterSpecs(config: ResolvedConfig, methods: Methods): readonly AdapterSpec[] {
  const { modules, learning, baseModel, ...shared } = config;
  return modules.map((module) => ({ ...shared, ...module, ...learning, methods }));
}

function resolveModules(options: Options): ResolvedConfig["modules"] {
  const { targetModules, dimensions, rankPattern, alphaPattern, hiddenSize } = options;
  const names: readonly string[] =
    typeof targetModules === "string" ? TARGET_MODULE_SETS[targetModules] : targetModules;
  if (!Array.isArray(names)) refuseConfig("targetModules", targetModules, "Pass names of modules, or of a set of them");
  for (const [where, pattern] of Object.entries({ dimensions, rankPattern, alphaPattern })) {
    checkObject(pattern, where);
    for (const key of Object.keys(pattern)) {
      if (!names.includes(key) && !names.some((name) => isNamed(name, key))) {
        refuseConfig(where, key, "Name it in targetModules too");
      }
    }
  }
  const { inFeatures = hiddenSize, outFeatures = hiddenSize } = options;
  return names.map((module) => {
    const widths = matching(dimensions, module, { inFeatures, outFeatures });
    checkObject(widths, `dimensions.${module}`);
    if (widths.inFeatures === undefined || widths.outFeatures === undefined) {
      return refuseConfig(
        module,
        "without dimensions",
        "Pass hiddenSize, or inFeatures and outFeatures, or dimensions",
      );
    }
    const rank = matching(rankPattern, module, options.rank);
    const alpha = unsignedZero(matching(alphaPattern, module, options.alpha));
    return { module, inFeatures: widths.inFeatures, outFeatures: widths.outFeatures, rank, alpha };
  });
}

/** What is said of a module: under its name, or else under the first key that its path ends in, or else of all. */
function matching<T>(pattern: Readonly<Record<string, T>>, module: string, ofAll: T): T {
  const key = Object.hasOwn(pattern, module) ? module : Object.keys(pattern).find((end) => isNamed(module, end));
  return key === undefined ? ofAll : pattern[key]!;
}

function isNamed(module: string, end: string): boolean {
  return `.${module}`.endsWith(`.${end}`);
}

function integer(value: unknown, min: number, max: number, where: string): void {
  if (!Number.isInteger(value)) refuseConfig(where, value, `Pass an integer in [${min}, ${max}]`);
  number(value, min, max, where);
}

function number(value: unknown, min: number, max: number, where: string): void {
  if (typeof value === "number" && value >= min && value <= max) return;
  refuseConfig(where, value, `Pass a number in [${min}, ${max}]`);
}

function method(value: Method, where: string): void {
  if (typeof value?.name !== "string" || typeof value.settings !== "object" || value.settings === null) {
    refuseConfig(where, value, "Pass a method, such as adamw()");
  }
  for (const [key, setting] of Object.entries(value.settings)) number(setting, -1e30, 1e30, `${where}.${key}`);
}

function boolean(value: unknown, where: string): void {
  if (typeof value !== "boolean") refuseConfig(where, value, "Pass true or false");
}
