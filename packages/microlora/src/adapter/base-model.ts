import { refusal } from "../base/errors.js";

/** What a loader says of the base model. */
export interface BaseModelOptions {
  /** Fingerprint of the base model that the adapters are about to serve. */
  readonly baseModel?: string;
  /** Loads even where the fingerprints differ. */
  readonly allowWrongBase?: boolean;
}

/** Refuses a state that was learned on another base model. @throws MicroLoraError `wrong-base` */
export function checkBase(saved: string | null, { baseModel, allowWrongBase = false }: BaseModelOptions): void {
  if (baseModel === undefined || saved === null || saved === baseModel || allowWrongBase) return;
  throw refusal(
    "wrong-base",
    "baseModel",
    `the checkpoint was learned on ${saved}, not on ${baseModel}`,
    "Load it on its own base model, or pass allowWrongBase",
  );
}
