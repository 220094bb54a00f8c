import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** The documents whose snippets of TypeScript are compiled. */
const DOCUMENTS = [
  "README.md",
  ...["microlora", "formats", "embed", "onnx"].map((name) => `packages/${name}/README.md`),
  "docs/formats.md",
];

/** What the snippets leave to their reader. */
const GIVEN = `
declare const documents: string[];
declare const pairs: [string, Float32Array][];
declare const x: Float32Array, y: Float32Array, gradient: Float32Array, query: Float32Array;
declare const config: Uint8Array, weights: Uint8Array;
declare const labels: number[][];
declare const feeds: import("@microlora/onnx").Feeds, inputs: Record<string, import("onnxruntime-web").Tensor>;
declare const user: import("microlora").MicroLora, other: import("microlora").MicroLora;
declare const file: import("@microlora/formats").LoraFile, another: import("@microlora/formats").LoraFile;
declare const model: import("@microlora/onnx").LoraModel;
declare const ort: typeof import("onnxruntime-web");
declare const MicroLora: typeof import("microlora").MicroLora, pageHinkley: typeof import("microlora").pageHinkley;
declare const fitToModel: typeof import("@microlora/formats").fitToModel;
declare const scalingOf: typeof import("@microlora/formats").scalingOf;
declare const openModel: typeof import("@microlora/onnx/node").openModel;
declare const mergeIntoModel: typeof import("@microlora/onnx/node").mergeIntoModel;
declare const ModelLearner: typeof import("@microlora/onnx").ModelLearner;
declare const attach: typeof import("@microlora/onnx").attach, cosine: typeof import("@microlora/onnx").cosine;
declare const tokenNll: typeof import("@microlora/onnx").tokenNll;
declare const pipeline: (task: string, model: string, options: object) => Promise<Parameters<typeof attach>[0]>;
declare module "onnxruntime-node" {
  export * from "onnxruntime-common";
}
`;

/** A page that imports every entry point that browsers have. */
const PAGE = ["microlora", "microlora/parts", "@microlora/formats", "@microlora/embed", "@microlora/onnx"]
  .map((name) => `import "${name}";\n`)
  .join("");

const STRICT = ["--strict", "--noEmit", "--target", "es2022", "--lib", "es2022,dom", "--module"];

/**
 * Installs packed packages into a project of their own, and compiles against them, strictly and with the types of what they
 * depend on, a page without Node's types and every snippet of the documents.
 * @param folder an empty one; @param tarballs paths by the names of the packages
 */
export function checkConsumer(folder, tarballs) {
  const modules = join(folder, "node_modules");
  mkdirSync(join(modules, "@microlora"), { recursive: true });
  for (const [name, path] of Object.entries(tarballs)) {
    mkdirSync(join(modules, name), { recursive: true });
    execFileSync("tar", ["-xzf", path, "-C", join(modules, name), "--strip-components=1"]);
  }
  for (const name of readdirSync("node_modules").filter((each) => !/^\.|^@?microlora$/.test(each))) {
    symlinkSync(resolve("node_modules", name), join(modules, name));
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(join(folder, "page.ts"), PAGE);
  writeFileSync(join(folder, "given.d.ts"), GIVEN);
  const snippets = DOCUMENTS.flatMap((document) =>
    [...readFileSync(document, "utf8").matchAll(/^```ts\n(.*?)^```/gms)].map(([, code], i) => {
      const name = `${document.replaceAll("/", "-")}-${i + 1}.ts`;
      writeFileSync(join(folder, name), `${code}export {};\n`);
      return name;
    }),
  );
  const tsc = resolve("node_modules/.bin/tsc");
  const compile = (...args) => execFileSync(tsc, [...STRICT, ...args], { cwd: folder, stdio: "inherit" });
  compile("esnext", "--moduleResolution", "bundler", "--types", "", "page.ts");
  compile("nodenext", "--types", "node", "given.d.ts", ...snippets);
  console.log(`a strict page, and ${snippets.length} snippets of ${DOCUMENTS.length} documents, compile`);
}
