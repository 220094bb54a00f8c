// Usage: node run.mjs [--model FOLDER] [--large MODEL.onnx] [--sizes 1x32,8x64] [--runs N] [--threads N] [--no-peer]
// Interleaved in turns, medians of paired ratios with quartiles. The folder holds model.onnx and config.json of MiniLM;
// the large model is a causal one, of which only opening is timed.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import * as ort from "onnxruntime-node";
import { openModel, vjp } from "../../packages/onnx/dist/node.js";
import { quartiles, timed } from "./timing.mjs";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: join(import.meta.dirname, "../../../shared/models/minilm") },
    large: { type: "string" },
    sizes: { type: "string", default: "1x32,1x64,1x128,8x64,8x128,32x128" },
    runs: { type: "string", default: "15" },
    threads: { type: "string", default: "2" },
    "no-peer": { type: "boolean", default: false },
  },
});
const folder = resolve(values.model);
const path = join(folder, "model.onnx");
const threads = Number(values.threads);
// Threads that spin after a run would take their cores from the contender whose turn comes next.
const sessionOptions = { intraOpNumThreads: threads, extra: { session: { intra_op: { allow_spinning: "0" } } } };
const ints = (data, dims) => new ort.Tensor("int64", BigInt64Array.from(data, BigInt), dims);

/** Median with quartiles. */
function spread(numbers) {
  const [low, middle, high] = quartiles(numbers).map((number) => number.toPrecision(3));
  return `${middle} (${low} to ${high})`;
}

function startPeer() {
  const python = process.env.PYTHON ?? join(import.meta.dirname, ".venv/bin/python");
  const env = { ...process.env, OMP_WAIT_POLICY: "PASSIVE" };
  const peer = spawn(python, [join(import.meta.dirname, "peer.py"), join(folder, "config.json"), String(threads)], {
    env,
  });
  peer.stderr.pipe(process.stderr);
  const lines = createInterface({ input: peer.stdout })[Symbol.asyncIterator]();
  const read = async () => JSON.parse((await lines.next()).value);
  const ask = (rows, tokens) => {
    peer.stdin.write(`${JSON.stringify([rows, tokens])}\n`);
    return read();
  };
  return { peer, read, ask };
}

/** Medians of several openings, each in a process of its own: without a cache, and with one that is full. */
function timeOpening(model, kind, runs) {
  const cache = mkdtempSync(join(tmpdir(), "derivations-"));
  const script = join(import.meta.dirname, "open.mjs");
  const once = (...more) => JSON.parse(execFileSync(process.execPath, [script, model, kind, values.threads, ...more]));
  once(cache);
  const pairs = Array.from({ length: runs }, () => [once(), once(cache)]);
  for (const [i, name] of ["derived", "from a cache"].entries()) {
    const of = (part) => spread(pairs.map((pair) => pair[i][part]));
    const parts = `open ${of("open")} s, first gradients ${of("gradients")} s`;
    console.log(`${kind}, ${name}: sum ${of("wall")} s, CPU ${of("cpu")} s; ${parts}`);
  }
  rmSync(cache, { recursive: true });
}

timeOpening(path, "encoder", 5);
if (values.large) timeOpening(resolve(values.large), "decoder", 5);

const plain = await ort.InferenceSession.create(path, sessionOptions);
const model = await openModel(path, { ort, targets: ["query", "value"], sessionOptions });
const adapter = await model.createAdapter({ rank: 2 });
const other = await model.createAdapter({ rank: 2, seed: 1 });
const peer = values["no-peer"] ? undefined : startPeer();
console.log(
  `${cpus()[0].model}, ${threads} threads, Node ${process.version}${peer ? `, torch ${(await peer.read()).torch}` : ""}`,
);

for (const size of values.sizes.split(",")) {
  const [rows, tokens] = size.split("x").map(Number);
  const ids = Array.from({ length: rows * tokens }, (_, i) => (i % 500) + 1000);
  const dims = [rows, tokens];
  const feeds = {
    input_ids: ints(ids, dims),
    attention_mask: ints(
      ids.map(() => 1),
      dims,
    ),
    token_type_ids: ints(
      ids.map(() => 0),
      dims,
    ),
  };
  const gradient = { type: "float32", dims: [rows, tokens, 384], data: new Float32Array(rows * tokens * 384).fill(1) };
  const request = { feeds, loss: vjp({ last_hidden_state: gradient }) };
  const forward = [];
  const backward = [];
  let memory = 0;
  for (let run = -2; run < Number(values.runs); run++) {
    const base = await timed(() => plain.run(feeds));
    const adapted = await timed(() => model.run(feeds, { adapters: run % 2 === 0 ? adapter : other }));
    const ours = await timed(() => model.gradients(request, { adapter }));
    const theirs = peer && (await peer.ask(rows, tokens));
    if (run < 0) continue;
    forward.push(adapted / base);
    backward.push(theirs ? ours / theirs.ms : ours);
    memory = theirs?.rss ?? 0;
  }
  const beside = peer ? "/ PEFT" : "ms";
  console.log(`${size}: forward / plain ${spread(forward)}; loss + gradients ${beside} ${spread(backward)}`);
  if (peer)
    console.log(
      `  memory: ${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MB, PEFT at most ${(memory / 2 ** 20).toFixed(0)} MB`,
    );
}
peer?.peer.stdin.end();
await model[Symbol.asyncDispose]();
