import { checkState, type MicroLoraState, readState, stateBlocks, stateHeader } from "../adapter/codec.js";
import type { Method } from "../adapter/methods/method.js";
import { corrupt, readContainer, writeContainer } from "../checkpoint/container.js";
import { checkStored, count, record } from "../checkpoint/fields.js";
import {
  checkSafeguards,
  type ExampleFormat,
  readAccepted,
  readSafeguards,
  type SafeguardsState,
  safeguardsBlocks,
  safeguardsHeaders,
  safeguardsSettings,
} from "./codec-safeguards.js";
import { type LearnerConfig, resolveLearner, type SafeguardsConfig } from "./config.js";

/** A MicroLora, and the safeguards of what learns for it. */
export interface SafeguardedState<Kept> extends SafeguardsState<Kept> {
  /** The settings of what lies around updates. */
  readonly config: SafeguardsConfig;
  /** The adapters. */
  readonly lora: MicroLoraState;
  /** Steps taken. */
  readonly updates: number;
}

/** The canonical bytes of a state. @param kind of the file */
export function encodeSafeguarded<Kept>(
  kind: string,
  state: SafeguardedState<Kept>,
  format: ExampleFormat<Kept>,
): Uint8Array {
  const blocks = safeguardsBlocks(state, state.lora, format).flat();
  return writeContainer(headerOf(kind, state, format), [...stateBlocks(state.lora), ...blocks]);
}

function headerOf<Kept>(kind: string, state: SafeguardedState<Kept>, format: ExampleFormat<Kept>, version?: number) {
  const [counters, kept] = safeguardsHeaders(state, state.lora, format);
  const { config, updates, lora } = state;
  return { kind, lora: stateHeader(lora, version), config: safeguardsSettings(config), updates, ...counters, ...kept };
}

/** The checked state that bytes hold. @throws MicroLoraError */
export function decodeSafeguarded<Kept>(
  kind: string,
  bytes: Uint8Array,
  format: ExampleFormat<Kept>,
  methods?: readonly Method[],
): SafeguardedState<Kept> {
  const { header, body } = readContainer(bytes, kind);
  const fields = record(header, "header");
  const config = readSettings(fields.config);
  const lora = readState(fields.lora, body, methods);
  const accepted = readAccepted(fields, record(fields.lora, "lora"), body, methods);
  const safeguards = readSafeguards(fields, accepted, body, format);
  checkState(lora, methods);
  checkSafeguards(safeguards, config, lora, methods);
  const state = { ...safeguards, config, lora, updates: count(fields.updates, "updates") };
  body.end(headerOf(kind, state, format, body.version));
  return state;
}

function readSettings(value: unknown): SafeguardsConfig {
  const config = record(value, "config") as unknown as SafeguardsConfig;
  for (const part of [config.replay, config.guard, config.boundary]) if (part !== null) record(part, "config");
  if (config.boundary !== null) record(config.boundary.settings, "config.boundary.settings");
  const complete = checkStored(() => resolveLearner(config as LearnerConfig));
  if (JSON.stringify(safeguardsSettings(config)) !== JSON.stringify(safeguardsSettings(complete)))
    corrupt("config", "is not complete");
  return config;
}
