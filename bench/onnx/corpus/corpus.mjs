// What becomes of published ONNX files: node bench/onnx/corpus/corpus.mjs [FOLDER] prints a line for each, and the whole as Markdown
// with --markdown; --only=PART leaves out files without it in their path. Of each: what is found, whether the zero adapter gives the base model's bits, an adapter against a merge of it, its
// gradient against central differences (runs in float32, sums in float64), a step of learning.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { inspectModel, mergeIntoModel, openModel, readModelFile, vjp } from "@microlora/onnx/node";
import { feedsThatRun } from "./feeds.mjs";
import { corpus } from "./fetch.mjs";

const require = createRequire(new URL("../../../package.json", import.meta.url));
const ort = require("onnxruntime-web");
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "fatal";

const folder = process.argv.slice(2).find((each) => !each.startsWith("--")) ?? join(tmpdir(), "microlora-corpus");
const isMarkdown = process.argv.includes("--markdown");
const LARGEST = 64e6;
/** Modules that get adapters: the last ones, whose gradients differences in float32 can measure. */
const MOST_TARGETS = 4;

const short = (error) => `${error.code ?? error.name}: ${String(error.message).split("\n")[0].slice(0, 110)}`;
const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
const furthest = (a, b) => a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

function drawer(seed) {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state / 2_147_483_647) * 2 - 1;
  };
}

async function plain(path, feeds) {
  const data = existsSync(`${path}.data`)
    ? [{ path: `${basename(path)}.data`, data: new Uint8Array(readFileSync(`${path}.data`)) }]
    : [];
  const options = { logSeverityLevel: 4, externalData: data };
  const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(path)), options);
  try {
    const tensors = Object.entries(feeds).map(([name, { type, dims, data }]) => [
      name,
      new ort.Tensor(type, data, dims),
    ]);
    return await session.run(Object.fromEntries(tensors));
  } finally {
    await session.release();
  }
}

async function attempt(call) {
  try {
    return await call();
  } catch (error) {
    return short(error);
  }
}

async function examine({ path }) {
  const model = readModelFile(path);
  const reports = inspectModel(model);
  const adaptable = reports.filter(({ notAdaptable }) => notAdaptable === undefined);
  const learnable = adaptable.filter(({ notLearnable }) => notLearnable === undefined);
  const refused = [...new Set(reports.flatMap(({ notAdaptable }) => notAdaptable ?? []))];
  const found = `${adaptable.length} adaptable, ${learnable.length} learnable, ${reports.length - adaptable.length} refused${refused.length > 0 ? ` (${refused[0]}${refused.length > 1 ? ", …" : ""})` : ""}`;
  if (adaptable.length === 0) return { found };
  const isSlice = (name) => reports.find(({ module }) => module === name) !== undefined;
  const pick = (learnable.length > 0 ? learnable : adaptable).slice(-MOST_TARGETS).map(({ module }) => module);
  const targets = ({ name, slice }) => slice === undefined && pick.includes(name) && isSlice(name);
  const opened = await openModel(path, { ort, targets });
  try {
    const { feeds, outputs: base } = await feedsThatRun(model.graph.inputs, (each) => plain(path, each));
    return { found, ...(await check(path, opened, feeds, base)) };
  } catch (error) {
    return { found, zero: `not run: ${short(error)}` };
  } finally {
    await opened.close();
  }
}

async function check(path, model, feeds, base) {
  const floats = Object.entries(base).filter(([, { type, size }]) => type === "float32" && size > 0);
  const fresh = await model.createAdapter({ rank: 2 });
  const zero = await attempt(async () => {
    const outputs = await model.run(feeds, { adapters: fresh });
    const off = Math.max(
      0,
      ...floats.map(([name, { data }]) => furthest(outputs[name].data, data) / Math.max(1, largest(data))),
    );
    return off === 0 ? "same bits" : off.toExponential(0);
  });
  const adapter = await model.createAdapter({ rank: 2, alpha: 2, learning: { ewcLambda: 0 } });
  const beside = await visiblyAdapted(model, feeds, adapter, floats);
  const merge = await attempt(() => mergeCheck(path, feeds, adapter, beside, floats));
  const gradient = await attempt(() => gradientCheck(model, feeds, adapter, beside, floats));
  const learn = await attempt(async () => {
    const loss = lossOf(beside, floats, drawer(3));
    const before = (await model.gradients({ feeds, loss }, { adapter })).loss;
    const { gradientNorm } = await model.learn({ feeds, loss }, { adapter, learningRate: 0 });
    if (!(gradientNorm > 0)) return "no gradient reaches it";
    await model.learn({ feeds, loss }, { adapter, learningRate: 1e-3 / gradientNorm });
    const after = (await model.gradients({ feeds, loss }, { adapter })).loss;
    return after < before ? "loss falls" : `loss ${before.toPrecision(4)} to ${after.toPrecision(4)}`;
  });
  return { zero, merge, gradient, learn };
}

/** Outputs with a random adapter that is as large as it takes to see it above rounding, behind a saturated sigmoid too. */
async function visiblyAdapted(model, feeds, adapter, floats) {
  for (let size = 0.02; ; size *= 5) {
    const draw = drawer(11);
    for (const { name } of model.modules) {
      const { loraB } = adapter.getAdapter(name);
      for (let i = 0; i < loraB.length; i++) loraB[i] = size * draw();
    }
    const beside = await model.run(feeds, { adapters: adapter });
    const change = Math.max(
      ...floats.map(([name, { data }]) => furthest(beside[name].data, data) / Math.max(1e-2, largest(data))),
    );
    if (change > 1e-3 || size > 5) return beside;
  }
}

async function mergeCheck(path, feeds, adapter, beside, floats) {
  const place = mkdtempSync(join(tmpdir(), "corpus-merge-"));
  try {
    const to = join(place, basename(path));
    const { modules } = await mergeIntoModel(path, to, adapter);
    const merged = await plain(to, feeds);
    const off = Math.max(...floats.map(([name]) => furthest(merged[name].data, beside[name].data)));
    const change = Math.max(...floats.map(([name, { data }]) => furthest(beside[name].data, data)));
    const worst = Math.max(...modules.map(({ quantisationError }) => quantisationError));
    return `${(off / (change || 1)).toExponential(0)} of its change${worst > 0 ? `, requantised to ${worst.toFixed(2)}` : ""}`;
  } finally {
    rmSync(place, { recursive: true });
  }
}

function lossOf(outputs, floats, draw) {
  const gradients = floats.map(([name]) => {
    const { dims, data } = outputs[name];
    return [name, { type: "float32", dims, data: Float32Array.from(data, () => draw() / Math.sqrt(data.length)) }];
  });
  return vjp(Object.fromEntries(gradients));
}

/** Along one random direction of all factors: the gradient's slope beside that of central differences, at the best of three steps. */
async function gradientCheck(model, feeds, adapter, beside, floats) {
  const loss = lossOf(beside, floats, drawer(3));
  const weights = loss.source.options;
  const { gradients, missing } = await model.gradients({ feeds, loss }, { adapter });
  const draw = drawer(29);
  const moves = [...gradients.get(adapter)].flatMap(([module, gradient]) =>
    ["loraA", "loraB"].map((part) => {
      const own = adapter.getAdapter(module)[part];
      return { own, start: own.slice(), gradient: gradient[part], direction: own.map(() => draw()) };
    }),
  );
  const exact = moves.reduce(
    (sum, { direction, gradient }) => sum + direction.reduce((all, value, i) => all + value * gradient[i], 0),
    0,
  );
  const at = async (step) => {
    for (const { own, start, direction } of moves) own.set(start.map((value, i) => value + step * direction[i]));
    const outputs = await model.run(feeds, { adapters: adapter });
    return floats.reduce(
      (sum, [name]) => sum + outputs[name].data.reduce((all, value, i) => all + value * weights[name].data[i], 0),
      0,
    );
  };
  // What a direction of this length gives on average, so that one across the gradient is not measured by what is left of it.
  const typical =
    Math.sqrt(moves.reduce((sum, { gradient }) => sum + gradient.reduce((all, value) => all + value ** 2, 0), 0) / 3) ||
    1e-12;
  let best = Number.POSITIVE_INFINITY;
  for (const step of [1e-2, 1e-3, 1e-4]) {
    const slope = ((await at(step)) - (await at(-step))) / (2 * step);
    best = Math.min(best, Math.abs(slope - exact) / Math.max(Math.abs(exact), typical));
  }
  for (const { own, start } of moves) own.set(start);
  return `${best.toExponential(0)} off${missing.size > 0 ? `, ${missing.size} cut off` : ""}`;
}

const COLUMNS = ["found", "zero", "merge", "gradient", "learn"];
if (isMarkdown) {
  console.log(
    "| package | licence | file | MB | found | zero adapter | adapter against merge | gradient against differences | learn |",
  );
  console.log("|---|---|---|---|---|---|---|---|---|");
}
let count = 0;
const only = process.argv.find((each) => each.startsWith("--only="))?.slice("--only=".length) ?? "";
for (const each of corpus(folder).sort((a, b) => a.size - b.size)) {
  if (!each.path.includes(only)) continue;
  count++;
  const start = Date.now();
  const result =
    each.size > LARGEST
      ? { found: "left out: too large" }
      : await examine(each).catch((error) => ({ found: short(error) }));
  const { index, name, version, license, file, size } = each;
  const told = COLUMNS.map((column) => String(result[column] ?? "").replaceAll("|", "/"));
  const what = [`${name} ${version} (${index})`, license, file.split("/").at(-1), (size / 1e6).toFixed(2)];
  if (isMarkdown) console.log(`| ${[...what, ...told].join(" | ")} |`);
  else console.log([...what, ...told].join("  "));
  console.error(`${count}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
}
