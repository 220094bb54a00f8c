import type { Ort } from "@microlora/onnx";
import { Refusal } from "../refusal.js";

/** Packages that run models, the faster one first. Neither is installed with the command. */
const PACKAGES = ["onnxruntime-node", "onnxruntime-web"];

/** The onnxruntime that is installed. @throws Refusal */
export async function loadOnnxruntime(): Promise<Ort> {
  for (const name of PACKAGES) {
    const found = await import(name).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ERR_MODULE_NOT_FOUND") return undefined;
      throw error;
    });
    if (found !== undefined) return found.default?.InferenceSession === undefined ? found : found.default;
  }
  throw new Refusal(`onnxruntime is not installed. Run "npm install onnxruntime-node"`, "unreadable");
}
