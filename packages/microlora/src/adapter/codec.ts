import { refusal, shown } from "../base/errors.js";
import { type Body, corrupt, readContainer, VERSION, writeContainer } from "../checkpoint/container.js";
import { array, checkStored, count, record } from "../checkpoint/fields.js";
import { KERNELS_NAMES, type KernelsName } from "../kernels/contract.js";
import { LEARNING_BLOCKS, type LearningBlock, paramCountOf } from "./blocks.js";
import { checkConfig, type ResolvedConfig, type ResolvedModule, resolveLearning } from "./config.js";
import type { AdapterState } from "./lora-adapter.js";
import { lengthsOf, type Method, type Methods, resolveMethods } from "./methods/method.js";
import { shapeOf } from "./spec.js";

/** Everything that a `MicroLora` is: what a restart has to bring back, bit for bit. */
export interface MicroLoraState {
  /** The configuration with every default filled in. */
  readonly config: ResolvedConfig;
  /** The kernels that learned it; on others it goes on within rounding only. */
  readonly kernels: KernelsName;
  /** Whether the adapters act and learn. */
  readonly enabled: boolean;
  /** Number of `learn` and `adapt` calls that took effect. */
  readonly adaptationCount: number;
  /** Number of `forward` and `forwardAdd` calls that took effect. */
  readonly forwardCount: number;
  /** In the order of `config.modules`. */
  readonly adapters: readonly AdapterState[];
}

/** The canonical bytes of a state. */
export function encodeState(state: MicroLoraState): Uint8Array {
  return writeContainer(headerOf(state), stateBlocks(state));
}

/** The checked state that bytes hold. @throws MicroLoraError */
export function decodeState(bytes: Uint8Array, methods?: readonly Method[]): MicroLoraState {
  const { header, body } = readContainer(bytes, "micro-lora");
  const state = readState(header, body, methods);
  checkState(state, methods);
  body.end(headerOf(state, body.version));
  return state;
}

function headerOf(state: MicroLoraState, version?: number): object {
  return { kind: "micro-lora", ...stateHeader(state, version) };
}

/**
 * What a file says of a state beside its numbers, in the one order in which it is written.
 * @param version of the format; 1 had no choice of methods, 2 one rank and one alpha for all modules
 */
export function stateHeader(state: MicroLoraState, version = VERSION): object {
  const { config, kernels, enabled, adaptationCount, forwardCount, adapters } = state;
  const { rsLora, dropout, bias, init, seed, learning, baseModel, modules } = config;
  const { learningRate, ewcLambda, fisherDecay, clipNorm, optimizer, ewc, schedule } = learning;
  const methods = { clipNorm, optimizer: header(optimizer), ewc: header(ewc), schedule: header(schedule) };
  return {
    config: {
      ...(version < 3 && scaleOf(modules[0]!)),
      rsLora,
      dropout,
      bias,
      init,
      seed,
      learning: { learningRate, ewcLambda, fisherDecay, ...(version > 1 && methods) },
      baseModel,
      modules: modules.map((module) => ({
        module: module.module,
        inFeatures: module.inFeatures,
        outFeatures: module.outFeatures,
        ...(version > 2 && scaleOf(module)),
      })),
    },
    kernels,
    enabled,
    adaptationCount,
    forwardCount,
    adapters: adapters.map((adapter) => ({
      step: adapter.step,
      pendingUpdates: adapter.pendingUpdates,
      ...(version > 1 && { updates: adapter.updates }),
      blocks: LEARNING_BLOCKS.filter((block) => adapter[block] !== undefined),
    })),
  };
}

function scaleOf({ rank, alpha }: Pick<ResolvedModule, "rank" | "alpha">): object {
  return { rank, alpha };
}

function header({ name, settings }: Method): Method {
  return { name, settings };
}

/** The numbers of a state: for each adapter A, B, the bias, and the learning blocks that its header names. */
export function stateBlocks(state: MicroLoraState): Float32Array[] {
  return state.adapters.flatMap((adapter) =>
    [adapter.loraA, adapter.loraB, adapter.bias, ...LEARNING_BLOCKS.map((block) => adapter[block])].filter(
      (block) => block !== undefined,
    ),
  );
}

/** Takes a state from a header that is not trusted yet, and the numbers that go with it; `checkState` is still to come. */
export function readState(header: unknown, body: Body, known?: readonly Method[]): MicroLoraState {
  const fields = record(header, "header");
  const config = readConfig(fields.config, body.version);
  const methods = resolveMethods(config.learning, known ?? []);
  const adapters = array(fields.adapters, "adapters").map((adapter, i) => {
    const module = config.modules[i];
    if (module === undefined) corrupt("adapters", "are more than the modules");
    return readAdapter(record(adapter, `adapters[${i}]`), config, module, methods, body);
  });
  return {
    config,
    kernels: fields.kernels as KernelsName,
    enabled: fields.enabled as boolean,
    adaptationCount: fields.adaptationCount as number,
    forwardCount: fields.forwardCount as number,
    adapters,
  };
}

/** Refuses a state, of a file or of a caller, that no `MicroLora` could be in, and finds its methods. @throws MicroLoraError */
export function checkState(state: MicroLoraState, known: readonly Method[] = []): Methods {
  const { config } = record(state, "state");
  record(record(config, "config").learning, "config.learning");
  for (const [i, module] of array(state.config.modules, "config.modules").entries())
    record(module, `config.modules[${i}]`);
  for (const [i, adapter] of array(state.adapters, "adapters").entries()) record(adapter, `adapters[${i}]`);
  checkConfig(state.config);
  if (!KERNELS_NAMES.includes(state.kernels)) corrupt("kernels", `are ${shown(state.kernels)}`);
  if (typeof state.enabled !== "boolean") corrupt("enabled", `is ${shown(state.enabled)}`);
  count(state.adaptationCount, "adaptationCount");
  count(state.forwardCount, "forwardCount");
  const { modules } = state.config;
  if (state.adapters.length !== modules.length) {
    corrupt("adapters", `are ${state.adapters.length}, for ${modules.length} modules`);
  }
  const methods = resolveMethods(state.config.learning, known);
  for (const [i, adapter] of state.adapters.entries()) checkAdapter(adapter, state.config, modules[i]!, methods);
  return methods;
}

function readConfig(value: unknown, version: number): ResolvedConfig {
  const fields = record(value, "config");
  const learning = record(fields.learning, "config.learning");
  const { rank, alpha, ...others } = fields;
  const config = {
    ...others,
    learning: version > 1 ? learning : checkStored(() => resolveLearning(learning)),
    modules: array(fields.modules, "config.modules").map((module, i) => {
      return { ...record(module, `config.modules[${i}]`), ...(version < 3 && { rank, alpha }) };
    }),
  } as unknown as ResolvedConfig;
  checkStored(() => checkConfig(config));
  return config;
}

function readAdapter(
  fields: Readonly<Record<string, unknown>>,
  config: ResolvedConfig,
  resolved: ResolvedModule,
  methods: Methods,
  body: Body,
): AdapterState {
  const { module, rank, inFeatures, outFeatures } = resolved;
  const shape = shapeOf({ ...resolved, bias: config.bias });
  const lengths = lengthsOf(shape, methods);
  const state: { -readonly [K in keyof AdapterState]: AdapterState[K] } = {
    module,
    loraA: body.take(rank * inFeatures, `${module}.loraA`),
    loraB: body.take(rank * outFeatures, `${module}.loraB`),
    step: fields.step as number,
    pendingUpdates: fields.pendingUpdates as number,
    updates: (body.version > 1 ? fields.updates : fields.step) as number,
  };
  if (config.bias) state.bias = body.take(outFeatures, `${module}.bias`);
  const names = array(fields.blocks, `${module}.blocks`);
  const known = LEARNING_BLOCKS.filter((block) => names.includes(block));
  if (known.length !== names.length || known.some((block, i) => names[i] !== block)) {
    corrupt(
      `${module}.blocks`,
      `are ${names.map(shown).join(", ")}, not some of ${LEARNING_BLOCKS.join(", ")} in this order`,
    );
  }
  for (const block of known) state[block] = body.take(lengths[block] ?? paramCountOf(shape), `${module}.${block}`);
  return state;
}

function checkAdapter(state: AdapterState, config: ResolvedConfig, resolved: ResolvedModule, methods: Methods): void {
  const { module, rank, inFeatures, outFeatures } = resolved;
  const { bias } = config;
  if (state.module !== module) corrupt("adapters", `have ${shown(state.module)} in the place of ${module}`);
  checkBlock(state.loraA, rank * inFeatures, `${module}.loraA`);
  checkBlock(state.loraB, rank * outFeatures, `${module}.loraB`);
  if (bias !== (state.bias !== undefined))
    corrupt(`${module}.bias`, bias ? "is missing" : "is there, though config.bias is false");
  if (state.bias !== undefined) checkBlock(state.bias, outFeatures, `${module}.bias`);
  for (const counter of ["step", "updates", "pendingUpdates"] as const) count(state[counter], `${module}.${counter}`);
  const shape = shapeOf({ ...resolved, bias });
  const lengths = lengthsOf(shape, methods);
  for (const block of LEARNING_BLOCKS) {
    const values = state[block];
    const length = lengths[block] ?? paramCountOf(shape);
    if (values !== undefined) checkBlock(values, length, `${module}.${block}`, !SIGNED.includes(block));
  }
  if (state.pendingUpdates > 0 !== (state.pending !== undefined)) {
    corrupt(`${module}.pending`, `does not go with ${state.pendingUpdates} pending updates`);
  }
  if ((state.fisher === undefined) !== (state.anchor === undefined))
    corrupt(`${module}.fisher`, "and anchor go together");
}

const SIGNED: readonly LearningBlock[] = ["anchor", "pending", "momentum"];

function checkBlock(values: Float32Array, length: number, where: string, squares = false): void {
  if (!(values instanceof Float32Array)) refuseJson(values, where);
  if (values.length !== length) corrupt(where, `is not ${length} float32 values`);
  for (let i = 0; i < length; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value) || (squares && value < 0)) corrupt(`${where}[${i}]`, `is ${value}`);
  }
}

/** A state that went through JSON has lost its typed arrays. */
function refuseJson(values: unknown, where: string): never {
  const problem = `is ${shown(values)}, not a Float32Array`;
  throw refusal(
    "corrupt-checkpoint",
    where,
    problem,
    "JSON keeps no Float32Array: save toBytes(), load with fromBytes()",
  );
}
