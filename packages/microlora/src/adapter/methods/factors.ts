import type { Kernels } from "../../kernels/contract.js";
import type { AdapterBlocks } from "../blocks.js";
import type { Method } from "./method.js";

/**
 * The end of a task for a Fisher on the factors. Online EWC: fisher <- gamma * fisher + running, running <- 0 (Schwarz et al.
 * 2018, eq. 9). EWC++: fisher <- running, which goes on over tasks (Chaudhry et al. 2018, eq. 9).
 */
export function consolidateFactors(kernels: Kernels, blocks: AdapterBlocks, { name, settings }: Method): void {
  const fisher = blocks.use("fisher");
  const running = blocks.pointer("fisherRunning");
  const gamma = name === "online" ? (settings.gamma ?? 1) : 0;
  if (gamma !== 1) kernels.apply(fisher, fisher, blocks.length, 1 - gamma);
  if (running !== 0) kernels.apply(fisher, running, blocks.length, -1);
  if (name === "online") blocks.clear("fisherRunning");
}
