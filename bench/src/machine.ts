import { cpus, platform, release, totalmem } from "node:os";

/** What the figures were measured on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGigabytes: number;
  readonly system: string;
  readonly node: string;
  readonly v8: string;
  /** Which of ours ran: relaxed, simd or scalar. */
  readonly kernels: string;
  readonly compilers: readonly string[];
  readonly date: string;
}

export function describeMachine(kernels: string, compilers: readonly string[]): Machine {
  const processors = cpus();
  return {
    cpu: processors[0]?.model ?? "unknown",
    cores: processors.length,
    memoryGigabytes: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()}`,
    node: process.version,
    v8: process.versions.v8,
    kernels,
    compilers,
    date: new Date().toISOString().slice(0, 10),
  };
}
