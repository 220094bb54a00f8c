import { readFileSync } from "node:fs";
import { cpus } from "node:os";

/** Where and with what a run was made. */
export function machine() {
  const lock = JSON.parse(readFileSync(new URL("../package-lock.json", import.meta.url), "utf8"));
  return {
    cpu: cpus()[0].model,
    cores: cpus().length,
    node: process.version,
    onnxruntime: lock.packages["node_modules/onnxruntime-node"].version,
  };
}
