// Compiles every program of the documents strictly against the built packages, and runs it as it stands: `node snippets/run.mjs [WORD …]`,
// all programs, or those of documents whose path holds a word.
import { execFile, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { blocksOf, documents, ROOT } from "./blocks.mjs";

const run = promisify(execFile);
const FOLDER = join(import.meta.dirname, "../dist/snippets");
const TOGETHER = 2;
const SECONDS = 120;

/** Files that a reader has, by the names that the documents give them. */
const FIXTURES = {
  "model.onnx": "packages/formats/src/picture/fixtures/llama.onnx",
  "my-peft-adapter": "examples/adapters/tiny-llama",
  "model.safetensors": "packages/formats/src/peft/fixtures/base-llama.safetensors",
  "model.gguf": "packages/formats/src/gguf/models/fixtures/llama-untied/base.gguf",
  "adapter-for-gguf": "packages/formats/src/gguf/models/fixtures/llama-untied",
  "chat.gguf": "packages/onnx/fixtures/gguf/llama.gguf",
  "olive.onnx": "packages/formats/src/onnx-adapter/fixtures/olive.onnx",
  "olive.onnx_adapter": "packages/formats/src/onnx-adapter/fixtures/olive.onnx_adapter",
};

/** Packages that programs name and the repository does not have. */
const ELSEWHERE = `
declare module "onnxruntime-node" {
  export * from "onnxruntime-common";
}
declare module "cloudflare:workers" {
  export class DurableObject {
    readonly ctx: { readonly storage: { get<Value>(key: string): Promise<Value | undefined>; put(key: string, value: unknown): Promise<void> } };
  }
}
declare module "ai" {
  export function wrapEmbeddingModel(options: { model: unknown; middleware: unknown }): unknown;
  export function embed(call: { model: unknown; value: string; providerOptions: object }): Promise<{ embedding: number[] }>;
}
declare module "@ai-sdk/openai" {
  export const openai: { embedding(model: string): unknown };
}
declare module "pg" {
  export class Pool {
    query(text: string, values: unknown[]): Promise<{ rows: unknown[] }>;
  }
}
declare module "@huggingface/transformers" {
  export function pipeline(task: string, model: string, options: object): Promise<import("@microlora/onnx").TransformersPipeline>;
}
`;

const COMPILER_OPTIONS = {
  strict: true,
  noEmit: true,
  target: "es2022",
  lib: ["es2023", "esnext.disposable", "dom"],
  module: "nodenext",
  types: ["node"],
  typeRoots: [join(ROOT, "node_modules/@types")],
  jsx: "react-jsx",
  allowJs: true,
  checkJs: true,
};

function write(blocks) {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(join(FOLDER, "programs"), { recursive: true });
  writeFileSync(join(FOLDER, "package.json"), '{ "type": "module" }\n');
  writeFileSync(join(FOLDER, "elsewhere.d.ts"), ELSEWHERE);
  writeFileSync(
    join(FOLDER, "tsconfig.json"),
    JSON.stringify({ compilerOptions: COMPILER_OPTIONS, include: ["*.ts", "*.tsx", "*.mjs"] }),
  );
  for (const { name, language, code } of blocks) {
    const extension = language === "tsx" ? "tsx" : language === "ts" ? "ts" : "mjs";
    writeFileSync(join(FOLDER, `${name}.${extension}`), `${code}export {};\n`);
    writeFileSync(join(FOLDER, "programs", `${name}.mjs`), code);
  }
}

function compile() {
  const { status } = spawnSync(join(ROOT, "node_modules/.bin/tsc"), ["-p", "."], { cwd: FOLDER, stdio: "inherit" });
  if (status !== 0) process.exit(1);
}

/** Runs a program in a folder of its own. @returns what is wrong; undefined if nothing is */
async function faultOf({ name, prints }) {
  const folder = mkdtempSync(join(tmpdir(), "snippet-"));
  for (const [to, from] of Object.entries(FIXTURES)) cpSync(join(ROOT, from), join(folder, to), { recursive: true });
  const file = join(FOLDER, "programs", `${name}.mjs`);
  try {
    const { stdout } = await run(process.execPath, [file], { cwd: folder, timeout: SECONDS * 1000 });
    if (prints !== undefined && stdout !== prints) return `prints\n${stdout}and not\n${prints}`;
    return undefined;
  } catch (error) {
    return `ends with ${error.code ?? error.signal}\n${error.stdout ?? ""}${error.stderr ?? error.stack}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const words = process.argv.slice(2);
const blocks = documents()
  .filter((document) => words.length === 0 || words.some((word) => document.includes(word)))
  .flatMap(blocksOf);
write(blocks);
compile();

const waiting = blocks.filter(({ compileOnly, language }) => compileOnly === undefined && language !== "tsx");
const unrun = blocks.filter((block) => !waiting.includes(block));
const count = waiting.length;
let wrong = 0;
async function runNext() {
  for (let block = waiting.shift(); block !== undefined; block = waiting.shift()) {
    const fault = await faultOf(block);
    if (fault === undefined) continue;
    wrong++;
    console.error(`${block.document}:${block.line}: ${fault}\n`);
  }
}
await Promise.all(Array.from({ length: TOGETHER }, runNext));

for (const { document, line, compileOnly } of unrun) {
  if (compileOnly === undefined) throw new Error(`${document}:${line}: say why it cannot run: tsx compile-only REASON`);
  console.log(`compiled only, ${document}:${line}: ${compileOnly}`);
}
const all = new Set(blocks.map(({ document }) => document)).size;
console.log(`${blocks.length} programs of ${all} documents compile; ${count - wrong} of ${count} run`);
process.exitCode = wrong === 0 ? 0 : 1;
