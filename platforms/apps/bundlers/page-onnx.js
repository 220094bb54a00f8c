import { cosine, openModel } from "@microlora/onnx";
import * as ort from "onnxruntime-web";
import { outcomeOf } from "./shared/search.js";
import { tell } from "./shared/tell.js";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("/ort/", location.href).href;

async function adapt() {
  const bytes = new Uint8Array(await (await fetch("/linear.onnx")).arrayBuffer());
  const model = await openModel(bytes, { ort, targets: ["proj"] });
  const user = await model.createAdapter({ rank: 2 });
  const x = { type: "float32", dims: [2, 8], data: Float32Array.from({ length: 16 }, (_, i) => Math.cos(i)) };
  const run = async () => (await model.run({ x }, { adapters: [user, user] })).y.data;
  const before = [...(await run())];
  const loss = cosine({ output: "y", pooling: "none", left: [0], right: [1], targets: [0.9] });
  for (let step = 0; step < 3; step++) await model.learn({ feeds: { x }, loss }, { adapter: user });
  const after = [...(await run())];
  return { hasLearned: after.some((value, i) => value !== before[i]) };
}

outcomeOf(adapt).then(tell);
