import { refusal, shown } from "../base/errors.js";
import type { Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";

declare const forwardToken: unique symbol;
/** Names one `forwardAdd` of one adapter; good until its weights change or eight later ones were kept. */
export type ForwardToken = number & { readonly [forwardToken]: true };

const SLOTS = 8;

/** The last few intermediates u = x A of an adapter, so that several requests may be under way before one is learned. */
export class TokenRing {
  readonly #rank: number;
  readonly #intermediates: Float32Array;
  readonly #fingerprints = new Int32Array(SLOTS);
  readonly #versions = new Float64Array(SLOTS);
  #next = 1;

  constructor(rank: number) {
    this.#rank = rank;
    this.#intermediates = new Float32Array(SLOTS * rank);
  }

  /** @param version of the weights that gave u */
  keep(runtime: Runtime, x: Pointer, inFeatures: number, u: Pointer, version: number): ForwardToken {
    const token = this.#next++;
    const slot = token % SLOTS;
    this.#versions[slot] = version;
    this.#fingerprints[slot] = runtime.kernels.fingerprint(x, inFeatures);
    for (let r = 0; r < this.#rank; r++) this.#intermediates[slot * this.#rank + r] = runtime.f32[(u >>> 2) + r]!;
    return token as ForwardToken;
  }

  /** Writes the kept intermediate to u. @param version of the weights of now @throws MicroLoraError `stale-token` */
  restore(token: ForwardToken, runtime: Runtime, x: Pointer, inFeatures: number, u: Pointer, version: number): void {
    if (typeof token !== "number") refuseToken(`is ${shown(token)}`);
    const slot = token % SLOTS;
    const given = token >= Math.max(1, this.#next - SLOTS) && token < this.#next;
    if (!given || this.#versions[slot] !== version) refuseToken("is of older weights, or was never given");
    if (runtime.kernels.fingerprint(x, inFeatures) !== this.#fingerprints[slot]) refuseToken("is of another input");
    for (let r = 0; r < this.#rank; r++) runtime.f32[(u >>> 2) + r] = this.#intermediates[slot * this.#rank + r]!;
  }
}

export function refuseToken(problem: string): never {
  throw refusal("stale-token", "token", problem, "Learn without the token, or run forwardAdd again");
}
