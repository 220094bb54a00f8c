import { refuseConfig } from "../../base/check.js";
import type { AdapterKernels, AdapterShape, Pointer } from "../../kernels/contract.js";
import type { Runtime } from "../../kernels/runtime.js";
import type { AdapterBlocks, BlockLengths } from "../blocks.js";
import type { Limits } from "../limits.js";
import type { GradientRows } from "./gradient-rows.js";

/** A choice of how to learn, as a checkpoint keeps it: a name, and numbers. */
export interface Method {
  /** Name by which a checkpoint finds the method again. */
  readonly name: string;
  /** Its settings, finite numbers by name. */
  readonly settings: Readonly<Record<string, number>>;
}

/**
 * A method with the code that does it. The code is handed in rather than imported by name, so that a bundle holds only the
 * methods that a program uses.
 */
interface WithCode<Kind extends string, Self> extends Method {
  readonly kind: Kind;
  /** The same method with the numbers of a checkpoint. @throws MicroLoraError `invalid-config` */
  withSettings(settings: Readonly<Record<string, number>>): Self;
}

interface WithState {
  /** Makes the step of an adapter that has this method: handed in with it, since the plain step needs none of it. */
  readonly createStep: (host: MethodHost, methods: Methods) => MethodStep;
  /** Lengths of the learning blocks that it uses in another layout than the parameters'. */
  lengths(shape: AdapterShape): BlockLengths;
}

/** What one adapter gives its methods. */
export interface MethodHost {
  readonly runtime: Runtime;
  readonly kernels: AdapterKernels;
  readonly blocks: AdapterBlocks;
  readonly limits: Limits;
  readonly scaling: number;
  readonly fisherDecay: number;
}

/** Makes a step of a gradient; its state lies in the adapter's blocks, so that it is saved and restored with them. */
export interface Optimizer extends WithCode<"optimizer", Optimizer>, WithState {
  /** The stepper for one adapter, over its memory. */
  bind(host: MethodHost): Stepper;
}

export interface Stepper {
  /** Makes room for a step. @throws MicroLoraError `memory-full` */
  reserve(): void;
  /**
   * Allows or refuses a step, writing nothing.
   * @param gradient bound of its gradient; @returns how far it leads at most @throws MicroLoraError
   */
  allow(rate: number, gradient: number): number;
  /** @param update number of this update, from 1 on */
  step(rows: GradientRows, rate: number, update: number): void;
}

/** Holds on to what was learned; its state lies in the adapter's blocks. */
export interface EwcMethod extends WithCode<"ewc", EwcMethod>, WithState {
  /** The rule for one adapter, over its memory. */
  bind(host: MethodHost): EwcRule;
}

export interface EwcRule {
  /** Makes room for what a step writes. @throws MicroLoraError `memory-full` */
  reserve(): void;
  /** Whether the running Fisher on A and B and the pull of `fisher` are those of the fused kernel. */
  readonly onFactors: boolean;
  /** Allows or refuses to learn from an example with these squared norms. */
  allowTracking(inputSquares: number, gradientSquares: number): void;
  /** @param reach bound of the step; @returns how far its own pull leads at most */
  allowStep(penalty: number, reach: number, gradient: number): number;
  /** Before the weights change. */
  before(): void;
  /** Takes note of an example. */
  track(x: Pointer, g: Pointer): void;
  /** After the weights have changed along these gradients. */
  after(rows: GradientRows): void;
  allowConsolidation(): void;
  consolidate(): void;
}

/** The step of an adapter whose optimiser or EWC is one that was handed in. */
export interface MethodStep {
  /** Makes room for a step. @throws MicroLoraError `memory-full` */
  reserve(): void;
  /** What holds on to the past in its own way, if anything does. */
  readonly rule: EwcRule | null;
  /** How far a step leads at most. @param gradient bound of its gradient @throws MicroLoraError */
  allow(rate: number, gradient: number, penalty: number): number;
  /** @param scale factor of the example's gradient; @param update number of this update */
  takeExample(
    x: Pointer,
    g: Pointer,
    rate: number,
    scale: number,
    penalty: number,
    running: Pointer,
    update: number,
  ): void;
  /** @param scale factor of the pending gradients */
  takePending(pending: Pointer, rate: number, scale: number, penalty: number, update: number): void;
}

/** The learning rate over time. */
export interface Schedule extends WithCode<"schedule", Schedule> {
  /** Factor of the learning rate at an update, from 1 on. */
  factorAt(update: number): number;
}

/** A method of any kind, as `methods` of `LoadOptions` takes them. */
export type AnyMethod = Optimizer | EwcMethod | Schedule;

/** The code of an adapter's methods; null where it is built in. */
export interface Methods {
  readonly optimizer: Optimizer | null;
  readonly ewc: EwcMethod | null;
  readonly schedule: Schedule | null;
}

/** The methods that need no code to be handed in. */
const BUILT_IN: readonly string[] = ["optimizer sgd", "ewc online", "ewc ewc++", "schedule constant"];

/** Finds the code of the methods named. @throws MicroLoraError `invalid-config` where it was not handed in */
export function resolveMethods(
  named: { readonly [K in keyof Methods]: Method },
  given: readonly (Method | undefined)[],
): Methods {
  const codeOf = <Found extends AnyMethod>(kind: Found["kind"]) => {
    const { name, settings } = named[kind];
    if (BUILT_IN.includes(`${kind} ${name}`)) return null;
    const found = (given as readonly (Found | undefined)[]).find((code) => code?.name === name && code.kind === kind);
    return (found?.withSettings(settings) ??
      refuseConfig(`learning.${kind}`, name, "Pass its code, or METHODS, as `methods`")) as Found;
  };
  return {
    optimizer: codeOf<Optimizer>("optimizer"),
    ewc: codeOf<EwcMethod>("ewc"),
    schedule: codeOf<Schedule>("schedule"),
  };
}

/** Lengths of the blocks that do not have the parameters' layout. */
export function lengthsOf(shape: AdapterShape, { optimizer, ewc }: Methods): BlockLengths {
  return { ...optimizer?.lengths(shape), ...ewc?.lengths(shape) };
}
