// Usage: node open.mjs MODEL.onnx encoder|decoder THREADS [CACHE_FOLDER]
// Opens a model, makes its first gradients and prints what that took, in seconds: a process for each, so that nothing is warm
// but the files.
import * as ort from "onnxruntime-node";
import { folderCache, openModel, tokenNll, vjp } from "../../packages/onnx/dist/node.js";

const [path, kind, threads, folder] = process.argv.slice(2);
const sessionOptions = { intraOpNumThreads: Number(threads) };

async function timed(run) {
  const start = performance.now();
  const cpu = process.cpuUsage();
  const result = await run();
  const { user, system } = process.cpuUsage(cpu);
  return { result, wall: (performance.now() - start) / 1e3, cpu: (user + system) / 1e6 };
}

const cache = folder === undefined ? {} : { cache: folderCache(folder) };
const open = await timed(() => openModel(path, { ort, targets: ["q_proj", "v_proj"], sessionOptions, ...cache }));
const model = open.result;
const adapter = await model.createAdapter({ rank: 2 });
const ids = Array.from({ length: 16 }, (_, i) => i + 10);
const feeds = model.complete({ input_ids: { type: "int64", dims: [1, 16], data: BigInt64Array.from(ids, BigInt) } });
const gradient = () => ({ type: "float32", dims: [1, 16, 384], data: new Float32Array(16 * 384).fill(1) });
const isEncoder = kind === "encoder";
const loss = isEncoder ? vjp({ last_hidden_state: gradient() }) : tokenNll({ labels: [ids] });
const request = [{ feeds, loss }, { adapter }];
const first = await timed(() => model.gradients(...request));
const second = await timed(() => model.gradients(...request));
const sum = (part) => open[part] + first[part] - second[part];
console.log(JSON.stringify({ open: open.wall, gradients: first.wall, wall: sum("wall"), cpu: sum("cpu") }));
await model[Symbol.asyncDispose]();
