import type { Problem } from "../problem.js";
import type { Contender } from "../race.js";

/** Another npm package that does the same job. */
export interface Peer {
  readonly name: string;
  /** What its calls take and give: `number[]`, or Float32Array; ours then does the same, copies included. */
  readonly arrays: "plain" | "typed";
  /** What one of its learning steps does, if it has one. */
  readonly learns?: string;
  /** A contender for the problem's `forward` or `request`; null where the package has no such size, rank or step. */
  make(problem: Problem): Contender | null | Promise<Contender | null>;
}
