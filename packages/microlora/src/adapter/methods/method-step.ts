import type { Pointer } from "../../kernels/contract.js";
import { checkMagnitude } from "../limits.js";
import { GradientRows } from "./gradient-rows.js";
import type { EwcRule, MethodHost, MethodStep, Methods, Stepper } from "./method.js";

/**
 * The gradient as rows, the pull and the running Fisher by the fused kernel where they are on the factors, then the
 * optimiser.
 */
class RowsStep implements MethodStep {
  readonly #host: MethodHost;
  readonly #rows: GradientRows;
  readonly #stepper: Stepper | null;
  readonly #rule: EwcRule | null;

  constructor(host: MethodHost, { optimizer, ewc }: Methods) {
    this.#host = host;
    this.#rows = new GradientRows(host.blocks);
    this.#stepper = optimizer?.bind(host) ?? null;
    this.#rule = ewc?.bind(host) ?? null;
  }

  get rule(): EwcRule | null {
    return this.#rule;
  }

  reserve(): void {
    this.#stepper?.reserve();
    this.#rule?.reserve();
  }

  allow(rate: number, gradient: number, penalty: number): number {
    this.reserve();
    if (!(gradient <= 1e37)) checkMagnitude(Number.POSITIVE_INFINITY, "gradient");
    const reach = this.#stepper?.allow(rate, gradient) ?? rate * gradient;
    return reach + (this.#rule?.allowStep(penalty, reach, gradient) ?? 0);
  }

  takeExample(
    x: Pointer,
    g: Pointer,
    rate: number,
    scale: number,
    penalty: number,
    running: Pointer,
    update: number,
  ): void {
    const { runtime, kernels, blocks, scaling, fisherDecay } = this.#host;
    const { parameters, u, v } = blocks;
    this.#rows.setExample(blocks, runtime.f32, x, g, scaling, scale);
    this.#rule?.before();
    const fisher = this.#onFactors ? blocks.pointer("fisher") : 0;
    const anchor = this.#onFactors ? blocks.pointer("anchor") : 0;
    const direct = this.#stepper === null ? rate * scale : 0;
    if (this.#stepper === null || running !== 0 || fisher !== 0) {
      kernels.step(parameters, x, g, u, v, scaling, direct, running, fisherDecay, fisher, anchor, penalty);
    }
    this.#rule?.track(x, g);
    this.#stepper?.step(this.#rows, rate, update);
    this.#rule?.after(this.#rows);
  }

  takePending(pending: Pointer, rate: number, scale: number, penalty: number, update: number): void {
    const { runtime, blocks } = this.#host;
    this.#rows.setPending(pending, scale);
    this.#rule?.before();
    const fisher = this.#onFactors ? blocks.pointer("fisher") : 0;
    const direct = this.#stepper === null ? rate * scale : 0;
    const { parameters, length } = blocks;
    if (fisher === 0) runtime.kernels.apply(parameters, pending, length, direct);
    else {
      runtime.kernels.applyEwc(parameters, pending, fisher, blocks.pointer("anchor"), length, direct, penalty);
    }
    this.#stepper?.step(this.#rows, rate, update);
    this.#rule?.after(this.#rows);
  }

  get #onFactors(): boolean {
    return this.#rule?.onFactors ?? true;
  }
}

export const createStep = (host: MethodHost, methods: Methods): MethodStep => new RowsStep(host, methods);
