import { LEARNING_BLOCKS, type LearningBlock, paramCountOf } from "../adapter/blocks.js";
import { checkConfig, type ResolvedConfig } from "../adapter/config.js";
import type { AdapterState } from "../adapter/lora-adapter.js";
import { shown } from "../base/errors.js";
import { KERNELS_NAMES, type KernelsName } from "../kernels/contract.js";
import { type Body, corrupt, readContainer, writeContainer } from "./container.js";
import { array, checkStored, count, record } from "./fields.js";

/** Everything that a `MicroLora` is: what a restart has to bring back, bit for bit. */
export interface MicroLoraState {
  readonly config: ResolvedConfig;
  /** The kernels that learned it; on others it goes on within rounding only. */
  readonly kernels: KernelsName;
  readonly enabled: boolean;
  readonly adaptationCount: number;
  readonly forwardCount: number;
  /** In the order of `config.modules`. */
  readonly adapters: readonly AdapterState[];
}

/** The canonical bytes of a state. */
export function encodeState(state: MicroLoraState): Uint8Array {
  return writeContainer(headerOf(state), stateBlocks(state));
}

/** The checked state that bytes hold. @throws MicroLoraError */
export function decodeState(bytes: Uint8Array): MicroLoraState {
  const { header, body } = readContainer(bytes, "micro-lora");
  const state = readState(header, body);
  body.end(headerOf(state));
  return state;
}

function headerOf(state: MicroLoraState): object {
  return { kind: "micro-lora", ...stateHeader(state) };
}

/** What a file says of a state beside its numbers, in the one order in which it is written. */
export function stateHeader(state: MicroLoraState): object {
  const { config, kernels, enabled, adaptationCount, forwardCount, adapters } = state;
  const { rank, alpha, rsLora, dropout, bias, init, seed, learning, baseModel, modules } = config;
  const { learningRate, ewcLambda, fisherDecay } = learning;
  return {
    config: {
      rank,
      alpha,
      rsLora,
      dropout,
      bias,
      init,
      seed,
      learning: { learningRate, ewcLambda, fisherDecay },
      baseModel,
      modules: modules.map(({ module, inFeatures, outFeatures }) => ({ module, inFeatures, outFeatures })),
    },
    kernels,
    enabled,
    adaptationCount,
    forwardCount,
    adapters: adapters.map((adapter) => ({
      step: adapter.step,
      pendingUpdates: adapter.pendingUpdates,
      blocks: LEARNING_BLOCKS.filter((block) => adapter[block] !== undefined),
    })),
  };
}

/** The numbers of a state: for each adapter A, B, the bias, and the learning blocks that its header names. */
export function stateBlocks(state: MicroLoraState): Float32Array[] {
  return state.adapters.flatMap((adapter) =>
    [adapter.loraA, adapter.loraB, adapter.bias, ...LEARNING_BLOCKS.map((block) => adapter[block])].filter(
      (block) => block !== undefined,
    ),
  );
}

/** Takes a state from a header that is not trusted yet, and the numbers that go with it. */
export function readState(header: unknown, body: Body): MicroLoraState {
  const fields = record(header, "header");
  const config = readConfig(fields.config);
  const adapters = array(fields.adapters, "adapters").map((adapter, i) => {
    const dimensions = config.modules[i];
    if (dimensions === undefined) corrupt("adapters", "are more than the modules");
    return readAdapter(record(adapter, `adapters[${i}]`), config, dimensions, body);
  });
  const state = {
    config,
    kernels: fields.kernels as KernelsName,
    enabled: fields.enabled as boolean,
    adaptationCount: count(fields.adaptationCount, "adaptationCount"),
    forwardCount: count(fields.forwardCount, "forwardCount"),
    adapters,
  };
  checkState(state);
  return state;
}

/** Refuses a state, of a file or of a caller, that no `MicroLora` could be in. @throws MicroLoraError */
export function checkState(state: MicroLoraState): void {
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
  for (const [i, adapter] of state.adapters.entries()) checkAdapter(adapter, state.config, modules[i]!);
}

type Dimensions = ResolvedConfig["modules"][number];

function readConfig(value: unknown): ResolvedConfig {
  const fields = record(value, "config");
  const config = {
    ...fields,
    learning: record(fields.learning, "config.learning"),
    modules: array(fields.modules, "config.modules").map((module, i) => record(module, `config.modules[${i}]`)),
  } as unknown as ResolvedConfig;
  checkStored(() => checkConfig(config));
  return config;
}

function readAdapter(
  fields: Readonly<Record<string, unknown>>,
  config: ResolvedConfig,
  { module, inFeatures, outFeatures }: Dimensions,
  body: Body,
): AdapterState {
  const paramCount = paramCountOf({ rank: config.rank, inFeatures, outFeatures, bias: config.bias ? 1 : 0 });
  const state: { -readonly [K in keyof AdapterState]: AdapterState[K] } = {
    module,
    loraA: body.take(config.rank * inFeatures, `${module}.loraA`),
    loraB: body.take(config.rank * outFeatures, `${module}.loraB`),
    step: count(fields.step, `${module}.step`),
    pendingUpdates: count(fields.pendingUpdates, `${module}.pendingUpdates`),
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
  for (const block of known) state[block] = body.take(paramCount, `${module}.${block}`);
  return state;
}

function checkAdapter(
  state: AdapterState,
  config: ResolvedConfig,
  { module, inFeatures, outFeatures }: Dimensions,
): void {
  const { rank, bias } = config;
  if (state.module !== module) corrupt("adapters", `have ${shown(state.module)} in the place of ${module}`);
  checkBlock(state.loraA, rank * inFeatures, `${module}.loraA`);
  checkBlock(state.loraB, rank * outFeatures, `${module}.loraB`);
  if (bias !== (state.bias !== undefined))
    corrupt(`${module}.bias`, bias ? "is missing" : "is there, though config.bias is false");
  if (state.bias !== undefined) checkBlock(state.bias, outFeatures, `${module}.bias`);
  count(state.step, `${module}.step`);
  count(state.pendingUpdates, `${module}.pendingUpdates`);
  const paramCount = paramCountOf({ rank, inFeatures, outFeatures, bias: bias ? 1 : 0 });
  for (const block of LEARNING_BLOCKS) {
    const values = state[block];
    if (values !== undefined) checkBlock(values, paramCount, `${module}.${block}`, SQUARES.includes(block));
  }
  if (state.pendingUpdates > 0 !== (state.pending !== undefined)) {
    corrupt(`${module}.pending`, `does not go with ${state.pendingUpdates} pending updates`);
  }
  if ((state.fisher === undefined) !== (state.anchor === undefined))
    corrupt(`${module}.fisher`, "and anchor go together");
}

const SQUARES: readonly LearningBlock[] = ["fisher", "fisherRunning"];

function checkBlock(values: Float32Array, length: number, where: string, squares = false): void {
  if (!(values instanceof Float32Array) || values.length !== length) corrupt(where, `is not ${length} float32 values`);
  for (let i = 0; i < length; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value) || (squares && value < 0)) corrupt(`${where}[${i}]`, `is ${value}`);
  }
}
